"""The arithmetic of what the demonstration reports."""

from peerview_tools.demo.freshness import quantile
from peerview_tools.demo.stack import for_people


def test_a_quantile_is_a_value_that_was_measured() -> None:
    values = [float(n) for n in range(200, 0, -1)]
    assert quantile(values, 0.5) == 100
    assert quantile(values, 0.99) == 198
    assert quantile(values, 1.0) == 200
    assert quantile([7.0], 0.99) == 7.0


def test_the_slowest_of_few_is_their_p99() -> None:
    assert quantile([1.0, 2.0, 3.0], 0.99) == 3.0


def test_a_log_line_is_told_in_short() -> None:
    line = '{"event": "worker stops", "level": "error", "reason": "x", "service": "compute"}'
    assert for_people(line) == "error: worker stops reason=x"
    trace = '{"event": "e", "level": "error", "exception": "Traceback\\n  File\\nTypeError: no"}'
    assert for_people(trace) == "error: e TypeError: no"
    assert for_people("plain words") == "plain words"
    assert len(for_people("x" * 5000)) == 400
