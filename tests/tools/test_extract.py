"""What `peerview send-extract` says of rejected rows: enough, and no more than can be read."""

from pathlib import Path
from typing import Any

import pytest

from peerview_tools.extract import TableFile, _tell_reasons


def rejection(line: int, reason: str) -> dict[str, Any]:
    return {"line": line, "column": "Code", "code": "value", "reason": reason}


def test_of_rows_alike_a_few_are_told_and_how_many_more_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    alike = [rejection(line, "is wrong") for line in range(2, 101)]
    table = {
        "rejected": 520,
        "rejections": [*alike, rejection(101, "is odd")],
        "warnings": [rejection(7, "is strange")],
    }
    files = [TableFile("patients", Path("a.csv"))]
    _tell_reasons(files, {"tables": {"patients": table}})
    assert capsys.readouterr().err.splitlines() == [
        "a.csv:2: Code: is wrong",
        "a.csv:3: Code: is wrong",
        "a.csv:4: Code: is wrong",
        "a.csv:101: Code: is odd",
        "a.csv: 96 more rows: Code: is wrong",
        "a.csv:7: warning: Code: is strange",
        "a.csv: 420 further rows were rejected",
    ]
