"""Made-up English general practices, for the demonstration, the tests and the measurements.

Nobody in here exists: NHS numbers are from the 999 range, which is never issued, and the practices'
codes are from the A99 range, which names no real practice. Diseases are some three times as common
as in a real list, so that a list of a few hundred patients yields figures that may be released.

A practice has a `history` (its records as of a day) and a `stream` of small changes after it. Both
are functions of the practice's seed: the same practice and day give the same records.
"""

from peerview_tools.simulator.practices import PRACTICES, Practice, Quality
from peerview_tools.simulator.records import history, roster
from peerview_tools.simulator.stream import Change, stream

__all__ = ["PRACTICES", "Change", "Practice", "Quality", "history", "roster", "stream"]
