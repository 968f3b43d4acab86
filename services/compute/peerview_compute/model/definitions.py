"""A set of definitions: read from YAML files, checked as a whole, with one hash.

A mistake is a ``DefinitionError`` that names the file, the line and the field. Clusters and
readings are checked against the installed code list and ``readings.yaml``, so a definition that
loads can be computed.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Final, TypeAlias

from pydantic import ValidationError

from peerview_common.codes import CodeList, shipped
from peerview_common.ids import IndicatorId
from peerview_common.yaml_files import Path as Place
from peerview_common.yaml_files import YamlFile
from peerview_compute.model.definition import (
    BLOOD_PRESSURE,
    READINGS_FILE,
    Condition,
    Definition,
    ReadingDefinition,
    Readings,
    Rule,
    Version,
)
from peerview_compute.model.uses import pair_readings, uses_of

MEANING: Final = 1
"""Part of the hash. Raise it when the code comes to answer otherwise for the same definitions, so
that no figure cached by the old code is believed."""


class DefinitionError(ValueError):
    """Mistakes in definitions; each line of the text is ``file:line: field: what is wrong``."""


_BODIES: Final[dict[str, str]] = {
    "proportion-of-patients": "rules",
    "rate": "facts",
    "proportion-of-appointments": "appointments",
    "mean-of-ratios": "continuity",
}

_File: TypeAlias = YamlFile[DefinitionError]


def _file(name: str, text: str) -> _File:
    return YamlFile(name, text, DefinitionError, texts=False)


def _check(definition: Definition, file: _File) -> None:
    """What one field alone cannot tell: that versions follow each other, and rules are reached."""
    problems: list[str] = []
    body = _BODIES[definition.kind]
    previous: Version | None = None
    for n, version in enumerate(definition.versions):
        here: Place = ("versions", n)
        for field in _BODIES.values():
            if (getattr(version, field) is None) == (field == body):
                word = "needs" if field == body else "has no use for"
                problems.append(
                    file.error((*here, field), f"the kind {definition.kind} {word} {field}")
                )
        if previous is None:
            if version.from_ is not None:
                problems.append(file.error((*here, "from"), "the first version has no from"))
        elif previous.to is None or version.from_ is None:
            problems.append(
                file.error((*here, "from"), "overlaps the version before: say its to and this from")
            )
        elif version.from_ != previous.to + timedelta(days=1):
            word = "overlaps" if version.from_ <= previous.to else "leaves a gap after"
            problems.append(
                file.error(
                    (*here, "from"),
                    f"{word} version {previous.version}, which ends on {previous.to}",
                )
            )
        if version.from_ and version.to and version.from_ > version.to:
            problems.append(file.error((*here, "to"), "ends before it begins"))
        previous = version
        problems.extend(_unreachable(version.rules, (*here, "rules"), file))
        if definition.of_patients and not any(part.registered for part in version.population):
            problems.append(
                file.error((*here, "population"), "must hold registered: true among its conditions")
            )
        if not definition.of_patients and version.population:
            problems.append(file.error((*here, "population"), "appointments are all counted"))
    if previous is not None and previous.to is not None:
        problems.append(
            file.error(
                ("versions", len(definition.versions) - 1, "to"), "the last version has no to"
            )
        )
    names = [version.version for version in definition.versions]
    if len(set(names)) != len(names):
        problems.append(file.error(("versions",), "two versions have one name"))
    if list(definition.bands) != sorted(set(definition.bands)):
        problems.append(file.error(("bands",), "the edges must rise"))
    if definition.payment and definition.payment[0] >= definition.payment[1]:
        problems.append(file.error(("payment",), "the range must rise"))
    if problems:
        raise DefinitionError("\n".join(problems))


def _unreachable(rules: Sequence[Rule] | None, path: Place, file: _File) -> Iterable[str]:
    if rules is None:
        return
    if not rules:
        yield file.error(path, "there are no rules")
        return
    seen: list[Condition] = []
    for n, rule in enumerate(rules):
        if rule.when is None:
            if n + 1 < len(rules):
                yield file.error((*path, n + 1), f"never reached: {rule.name!r} always applies")
            return
        if rule.when in seen:
            yield file.error((*path, n), "never reached: an earlier rule has the same condition")
        seen.append(rule.when)
    yield file.error(
        (*path, len(rules) - 1), "the last rule must always apply: it must have no when"
    )


class DefinitionSet:
    """The definitions that a service runs, with the code list they are computed with. Immutable."""

    def __init__(
        self,
        definitions: Iterable[Definition],
        readings: Mapping[str, ReadingDefinition],
        codes: CodeList,
    ) -> None:
        self.all = tuple(sorted(definitions, key=lambda definition: definition.id))
        self.indicators: tuple[IndicatorId, ...] = tuple(IndicatorId(d.id) for d in self.all)
        """In one fixed order: by id."""
        self.readings = dict(readings)
        self.codes = codes
        self.codes_version = codes.version
        text = json.dumps(
            {
                "meaning": MEANING,
                "codes": codes.version,
                "definitions": [
                    # the pin says which list is right, not what is computed with it
                    d.model_dump(mode="json", by_alias=True, exclude={"codes"})
                    for d in self.all
                ],
                "readings": {
                    name: found.model_dump(mode="json") for name, found in self.readings.items()
                },
            },
            sort_keys=True,
        )
        self.hash = hashlib.sha256(text.encode()).digest()[:8]
        """8 bytes. Equal only where definitions, readings and code list are."""
        self.hash_text = self.hash.hex()
        self._by_id = {definition.id: definition for definition in self.all}
        self.all_code_hashes = frozenset(codes.cluster_hashes.values())
        """Of every cluster of the list, whether or not a definition looks at it: all are kept."""
        self._code_hashes: dict[str, frozenset[str]] = {
            one: frozenset(codes.cluster_hashes[cluster] for cluster in self.clusters(one))
            for one in self.indicators
        }

    def __getitem__(self, indicator: str) -> Definition:
        """KeyError for an unknown id."""
        return self._by_id[indicator]

    def __contains__(self, indicator: object) -> bool:
        return indicator in self._by_id

    def version_on(self, indicator: str, day: int) -> str:
        return self._by_id[indicator].version_on(day).version

    def clusters(self, indicator: str) -> frozenset[str]:
        """Every cluster that any version of the indicator looks at."""
        return frozenset(
            use.cluster
            for version in self._by_id[indicator].versions
            for use in uses_of(version, self.readings)
        )

    def code_hashes(self, indicator: str) -> frozenset[str]:
        """The hashes of the indicator's clusters: those of the codes that it needs."""
        return self._code_hashes[indicator]

    def demonstration_only(self, indicator: str) -> frozenset[str]:
        """The indicator's clusters of which a code is a stand-in or from memory; a figure that
        rests on any is for demonstration only, and pages must say so."""
        return self.clusters(indicator) & self.codes.demonstration_clusters()


def load_texts(files: Mapping[str, str], codes: CodeList, *, pinned: bool = False) -> DefinitionSet:
    """Definitions from ``{file name: text}``. Raises DefinitionError with every mistake found.

    Where ``pinned``, a definition made for another code list than ``codes`` is one.
    """
    context = {"clusters": codes.clusters, "readings": frozenset[str]()}
    problems: list[str] = []
    readings: dict[str, ReadingDefinition] = {}
    if READINGS_FILE in files:
        file = _file(READINGS_FILE, files[READINGS_FILE])
        try:
            readings = Readings.model_validate(file.data, context=context).readings
        except ValidationError as error:
            raise file.errors(error) from error
    context["readings"] = frozenset(readings)
    definitions: dict[str, Definition] = {}
    for name, text in sorted(files.items()):
        if name == READINGS_FILE:
            continue
        try:
            file = _file(name, text)
            definition = Definition.model_validate(file.data, context=context)
            _check(definition, file)
            if pinned and definition.codes not in (None, codes.version):
                raise DefinitionError(
                    file.error(
                        ("codes",),
                        f"made for code list {definition.codes}, but the list in use is "
                        f"{codes.version}: name the list meant in PEERVIEW_CODE_LIST",
                    )
                )
            if definition.id in definitions:
                raise DefinitionError(file.error(("id",), "another file has this id"))
            if name.rsplit(".", 1)[0] != definition.id:
                raise DefinitionError(file.error(("id",), "the file must be named after it"))
        except ValidationError as error:
            problems.append(str(file.errors(error)))
        except DefinitionError as error:
            problems.append(str(error))
        else:
            definitions[definition.id] = definition
    if any(BLOOD_PRESSURE in text for text in files.values()):
        for pair in pair_readings():
            problems.extend(
                f"{READINGS_FILE}:1: readings: blood-pressure needs a reading {part}"
                for part in pair
                if part not in readings
            )
    if problems:
        raise DefinitionError("\n".join(problems))
    return DefinitionSet(definitions.values(), readings, codes)


def load_directory(directory: Path, codes: CodeList | None = None) -> DefinitionSet:
    """Every ``*.yaml`` of a directory. With the shipped code list, which must be the one that they
    were made for, unless another is named."""
    files = {path.name: path.read_text("utf-8") for path in directory.glob("*.yaml")}
    return load_texts(files, codes or shipped(), pinned=codes is None)


def load_definitions(directory: Path | None = None, code_list: Path | None = None) -> DefinitionSet:
    """A service's definitions: the shipped ones and the shipped code list, where none is named.
    Raises DefinitionError, CodeListError."""
    codes = None if code_list is None else CodeList.load(code_list)
    if directory is not None:
        return load_directory(directory, codes)
    with resources.as_file(resources.files("peerview_compute") / "indicators") as place:
        return load_directory(place, codes)


@lru_cache(maxsize=1)
def shipped_definitions() -> DefinitionSet:
    """The twelve indicators that come with Peerview, with the shipped code list."""
    return load_definitions()
