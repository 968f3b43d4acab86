"""Single columns of a table, made ready for reading: each a function of a row's cells.

They give None for what is empty, and raise ``CellFault`` with the column's name and a reason that
never holds the value.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from peerview_ingest.extracts.dates import parser
from peerview_ingest.extracts.mapping import Coding, FileForm, Flag, UnitOf, Words

Cells: TypeAlias = list[str]
Text: TypeAlias = Callable[[Cells], str | None]
Json: TypeAlias = dict[str, Any]

NUMBER: Final = re.compile(r"[+-]?\d{1,15}(\.\d{0,15})?", re.ASCII)
SHORTENED: Final = re.compile(r"\d([.,]\d+)?E\+?\d+", re.ASCII | re.IGNORECASE)
"""What a spreadsheet makes of a long code."""


class CellFault(Exception):
    """A row that cannot be taken: the column, FHIR's issue code and the reason."""

    def __init__(self, column: str, code: str, reason: str) -> None:
        super().__init__(reason)
        self.column, self.code, self.reason = column, code, reason


class Sheet:
    """The columns of one file, by name."""

    def __init__(self, places: Mapping[str, int], form: FileForm, dates: Sequence[str]) -> None:
        self._places = places
        self._empty = frozenset(form.empty) | {""}
        self._encoding = form.encoding
        self._parse = parser(dates)

    def text(self, column: str | None) -> Text:
        """The text without surrounding blanks; None where it is empty."""
        if column is None:
            return lambda _: None
        place, empty = self._places[column], self._empty

        def read(cells: Cells) -> str | None:
            found = cells[place].strip()
            if found in empty:
                return None
            if not found.isascii() and any("\ud800" <= sign <= "\udfff" for sign in found):
                raise CellFault(column, "value", f"is not written in {self._encoding}")
            return found

        return read

    def joined(self, columns: Sequence[str] | None, between: str) -> Text:
        """Several columns as one text; None where the first is empty."""
        if columns is None or len(columns) == 1:
            return self.text(columns[0] if columns else None)
        first, *others = [self.text(column) for column in columns]

        def read(cells: Cells) -> str | None:
            begun = first(cells)
            if begun is None:
                return None
            rest = [found for other in others if (found := other(cells)) is not None]
            return between.join([begun, *rest])

        return read

    def needed(self, columns: Sequence[str], between: str = "|") -> Callable[[Cells], str]:
        """The same, refused where it is empty."""
        found, column = self.joined(columns, between), columns[0]

        def read(cells: Cells) -> str:
            text = found(cells)
            if text is None:
                raise CellFault(column, "required", "is empty")
            return text

        return read

    def date(self, columns: Sequence[str] | None) -> Text:
        """A date or time as FHIR writes it."""
        if columns is None:
            return lambda _: None
        text, parse, column = self.joined(columns, " "), self._parse, columns[0]

        def read(cells: Cells) -> str | None:
            found = text(cells)
            if found is None:
                return None
            try:
                return parse(found)
            except ValueError as error:
                raise CellFault(column, "value", str(error)) from None

        return read

    def words(self, words: Words[Any] | None, default: str | None = None) -> Text:
        """What the column's word stands for; ``default`` where there is no column, or no word."""
        if words is None:
            return lambda _: default
        text, known, otherwise, column = (
            self.text(words.column), words.words, words.otherwise, words.column,
        )  # fmt: skip

        def read(cells: Cells) -> str | None:
            found = text(cells)
            if found is None:
                return otherwise or default
            meant = known.get(found, otherwise)
            if meant is None:
                raise CellFault(column, "code-invalid", "is no word that the mapping knows")
            return str(meant)

        return read

    def flag(self, flag: Flag) -> Callable[[Cells], bool]:
        text, words = self.text(flag.column), frozenset(flag.words)
        return lambda cells: text(cells) in words

    def number(self, column: str | None) -> Callable[[Cells], int | float | None]:
        """A decimal number; None for any other text, which is no reading."""
        text = self.text(column)

        def read(cells: Cells) -> int | float | None:
            found = text(cells)
            if found is None or not NUMBER.fullmatch(found):
                return None
            real = float(found)
            return int(real) if real.is_integer() else real

        return read

    def unit(self, unit: UnitOf | None) -> Text:
        if unit is None or unit.column is None:
            fixed = unit.fixed if unit is not None else None
            return lambda _: fixed
        text, words = self.text(unit.column), unit.words

        def read(cells: Cells) -> str | None:
            found = text(cells)
            return None if found is None else words.get(found, found)

        return read

    def codings(self, codes: Iterable[Coding]) -> Callable[[Cells], list[Json]]:
        """The codings of a row, in the mapping's order."""
        read_each = [self._coding(code) for code in codes]
        return lambda cells: [found for read in read_each if (found := read(cells)) is not None]

    def _coding(self, coding: Coding) -> Callable[[Cells], Json | None]:
        code, scheme = self.text(coding.column), self.text(coding.system_column)
        fixed, systems, column = coding.system, coding.systems, coding.column

        def read(cells: Cells) -> Json | None:
            found = code(cells)
            if found is None:
                return None
            if "+" in found and SHORTENED.fullmatch(found):
                raise CellFault(column, "value", "is a code that a spreadsheet has shortened")
            system = fixed
            if system is None:
                said = scheme(cells)
                system = systems.get(said or "") if systems else said
                if system is None:
                    raise CellFault(
                        coding.system_column or column,
                        "code-invalid",
                        "is no code system that the mapping knows",
                    )
            return {"system": system, "code": found}

        return read
