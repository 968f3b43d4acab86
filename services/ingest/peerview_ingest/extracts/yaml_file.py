"""A YAML file that remembers where everything stood, so that a mistake is told by its line.

All scalars stay texts: in a mapping ``No``, ``1`` and ``2026`` are words of the supplier's.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

import yaml
from pydantic import ValidationError

_Path: TypeAlias = tuple[int | str, ...]

_MESSAGES: Final = {
    "extra_forbidden": "no such field",
    "missing": "is needed",
    "model_type": "must hold fields",
    "string_type": "must be a text",
}


class MappingError(ValueError):
    """Mistakes in mappings; each line of the text is ``file:line: field: what is wrong``."""


class YamlFile:
    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._found: dict[_Path, int] = {}
        loader = yaml.BaseLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise MappingError(f"{name}:1: the file is empty")
            for path, line in _lines(node, ()):
                if path in self._found:
                    raise MappingError(f"{name}:{line}: {place_text(path)}: said twice")
                self._found[path] = line
            self.data: Any = loader.construct_document(node)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise MappingError(f"{name}:{line}: {error.problem}") from error
        except yaml.YAMLError as error:
            raise MappingError(f"{name}:1: not YAML: {type(error).__name__}") from error
        finally:
            loader.dispose()

    def error(self, path: _Path, message: str) -> str:
        known = path
        while known not in self._found:
            known = known[:-1]
        return f"{self.name}:{self._found[known]}: {place_text(path)}: {message}"

    def errors(self, error: ValidationError) -> MappingError:
        lines = []
        for entry in error.errors(include_url=False):
            message = _MESSAGES.get(entry["type"]) or entry["msg"].removeprefix("Value error, ")
            lines.append(self.error(self._known_path(entry["loc"]), message))
        return MappingError("\n".join(dict.fromkeys(lines)))

    def _known_path(self, path: _Path) -> _Path:
        """Without the names of types that pydantic puts in where a field may be one of several."""
        found: _Path = ()
        for number, part in enumerate(path):
            last = number + 1 == len(path)
            if (*found, part) in self._found or (last and not str(part).endswith("]")):
                found = (*found, part)
        return found


def _lines(node: yaml.Node, path: _Path) -> Iterator[tuple[_Path, int]]:
    if not path:
        yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            yield here, key.start_mark.line + 1
            yield from _lines(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield (*path, number), value.start_mark.line + 1
            yield from _lines(value, (*path, number))


def place_text(path: Iterable[int | str]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the file"
