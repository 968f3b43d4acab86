"""The mappings that a deployment has: those shipped, and those of the operator's folder."""

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Final

from peerview_ingest.extracts.mapping import Mapping, MappingError, read

SUFFIX: Final = ".yaml"


def load(path: Path) -> Mapping:
    """One mapping file. Raises MappingError, OSError."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise MappingError(f"{path.name}:1: the file is not UTF-8") from None
    return read(path.name, text)


def shipped() -> list[Mapping]:
    """The two worked examples, of suppliers that do not exist."""
    folder = resources.files("peerview_ingest.extracts") / "mappings"
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return [
        read(file.name, file.read_text(encoding="utf-8"))
        for file in files
        if file.name.endswith(SUFFIX)
    ]


class Catalogue:
    """Mappings by name and by source system. Immutable."""

    def __init__(self, mappings: Iterable[Mapping]) -> None:
        self._names: dict[str, Mapping] = {}
        self._sources: dict[str, Mapping] = {}
        for mapping in mappings:
            if mapping.name in self._names:
                raise MappingError(f"two mappings have the name {mapping.name}")
            self._names[mapping.name] = mapping
            for source in mapping.sources:
                other = self._sources.setdefault(source, mapping)
                if other is not mapping:
                    raise MappingError(
                        f"the source system {source} is named by two mappings: "
                        f"{other.name} and {mapping.name}"
                    )

    @classmethod
    def of(cls, folder: Path | None) -> "Catalogue":
        """Those shipped and those of ``folder``, which take the place of shipped ones by name.

        Raises MappingError for mistakes, OSError for a folder that cannot be read.
        """
        found = {mapping.name: mapping for mapping in shipped()}
        if folder is not None:
            if not folder.is_dir():
                raise MappingError(f"{folder}: there is no such folder of mappings")
            own: dict[str, Path] = {}
            for path in sorted(folder.glob(f"*{SUFFIX}")):
                mapping = load(path)
                if mapping.name in own:
                    raise MappingError(
                        f"{path.name}:1: name: {own[mapping.name].name} has the same name"
                    )
                own[mapping.name] = path
                found[mapping.name] = mapping
        return cls(found.values())

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._names.values())

    def named(self, name: str) -> Mapping | None:
        return self._names.get(name)

    def of_source(self, source: str) -> Mapping | None:
        """The mapping of a source system; None where the operator gave it none."""
        return self._sources.get(source)
