"""What was refused, or taken with a warning: all of it in the report, reasons counted, and a few
refusals shown at once."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from peerview_tools.sending.parts import Part

SHOWN: Final = 10
_NUMBER = re.compile(r"(?<=\[)\d+(?=\])|(?<=byte )\d+")


class Refusals:
    """Is told of the issues of one part after the other; ``part`` is the present one."""

    def __init__(
        self,
        reasons: Counter[str],
        warnings: Counter[str],
        report: Callable[[dict[str, Any]], object],
        say: Callable[[str], object],
    ) -> None:
        self.part = Part()
        self._reasons = reasons
        self._warnings = warnings
        self._report = report
        self._say = say
        self._shown = 0

    def take(self, issues: Sequence[Mapping[str, Any]]) -> None:
        for issue in issues:
            path, line = self._place(issue)
            found = {"file": str(path), **issue, "line": line}
            self._report(found)
            # one reason, whatever the entry's or the byte's number
            reason = _NUMBER.sub("N", f"{issue['place']}: {issue['reason']}")
            if issue["severity"] != "error":
                self._warnings[reason] += 1
                continue
            self._reasons[reason] += 1
            self._shown += 1
            if self._shown <= SHOWN:
                self._say(f"{path}:{line}: {issue['place']}: {issue['reason']}")
            elif self._shown == SHOWN + 1:
                self._say("Further refusals are counted; --report FILE keeps them all.")

    def _place(self, issue: Mapping[str, Any]) -> tuple[Path, int]:
        if not self.part.places:
            return Path("?"), int(issue["line"])
        return self.part.place(int(issue["line"]))
