"""The page about the rule language names all of the language."""

import re
from pathlib import Path

import pytest

from peerview_compute.model import definition

PAGE = (Path(__file__).parents[3] / "docs" / "indicators.md").read_text("utf-8")
CODE = " ".join(re.findall(r"`([^`]+)`", PAGE))
PARTS = [
    part
    for part in vars(definition).values()
    if isinstance(part, type)
    and issubclass(part, definition.Strict)
    and part not in (definition.Strict, definition.Readings)
    and not part.__name__.startswith("Reading")
]


@pytest.mark.parametrize("part", PARTS)
def test_every_field_of_the_language_is_documented(part: type[definition.Strict]) -> None:
    for name, field in part.model_fields.items():
        word = re.escape(field.alias or name)
        if part is definition.Target:
            continue  # systolic and diastolic explain themselves
        assert re.search(rf"(?<![\w-]){word}(?![\w-])", CODE), f"{part.__name__}: {word}"
