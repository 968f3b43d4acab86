"""YAML files that remember where everything stood, so that a mistake is told by its line."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, Generic, TypeAlias, TypeVar

import yaml
from pydantic import ValidationError

Path: TypeAlias = tuple[int | str, ...]
"""Keys and numbers of items, from the top."""

_MESSAGES: Final = {
    "extra_forbidden": "no such field",
    "missing": "is needed",
    "model_type": "must hold fields",
    "string_type": "must be a text",
}

Mistake = TypeVar("Mistake", bound=ValueError)


class YamlFile(Generic[Mistake]):
    """One document. Each line of a mistake's text is ``file:line: field: what is wrong``."""

    def __init__(self, name: str, text: str, mistake: type[Mistake], *, texts: bool) -> None:
        """With ``texts`` every scalar stays a text: ``No``, ``1`` and ``2026`` are words. Raises
        ``mistake`` for what is no YAML, is empty, or says a field twice."""
        self.name = name
        self._mistake = mistake
        self._found: dict[Path, int] = {}
        loader = yaml.BaseLoader(text) if texts else yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise mistake(f"{name}:1: the file is empty")
            for path, line in _lines(node, ()):
                if path in self._found:
                    raise mistake(f"{name}:{line}: {place_text(path)}: said twice")
                self._found[path] = line
            self.data: Any = loader.construct_document(node)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise mistake(f"{name}:{line}: {error.problem}") from error
        except yaml.YAMLError as error:
            raise mistake(f"{name}:1: not YAML: {type(error).__name__}") from error
        finally:
            loader.dispose()

    def error(self, path: Path, message: str) -> str:
        """The line of text about the field at ``path``, or about what it is missing from."""
        known = path
        while known not in self._found:
            known = known[:-1]
        return f"{self.name}:{self._found[known]}: {place_text(path)}: {message}"

    def errors(self, error: ValidationError) -> Mistake:
        """All that pydantic found, as one mistake."""
        lines = []
        found = error.errors(include_url=False)
        for entry in found:
            path = tuple(entry["loc"])
            if entry["type"] == "too_short" and any(
                other["loc"][: len(path)] == path and other is not entry for other in found
            ):
                continue  # the list is short only because of the mistake inside it
            message = _MESSAGES.get(entry["type"]) or entry["msg"].removeprefix("Value error, ")
            lines.append(self.error(self._known_path(path), message))
        return self._mistake("\n".join(dict.fromkeys(lines)))

    def _known_path(self, path: Path) -> Path:
        """Without the names of types that pydantic puts in where a field may be one of several."""
        found: Path = ()
        for number, part in enumerate(path):
            last = number + 1 == len(path)
            if (*found, part) in self._found or (last and not str(part).endswith("]")):
                found = (*found, part)
        return found


def _lines(node: yaml.Node, path: Path) -> Iterator[tuple[Path, int]]:
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
    """``versions[0].rules`` for a path; "the file" for the top."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the file"
