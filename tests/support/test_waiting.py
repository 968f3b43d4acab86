"""Waiting ends when the condition is met, and says what was missing when it is not."""

from collections.abc import Iterator

import pytest

from tests.support.waiting import wait_until


def test_the_first_true_answer_is_returned() -> None:
    answers: Iterator[list[int]] = iter([[], [], [3]])
    assert wait_until(lambda: next(answers), pause=0) == [3]


def test_a_failure_says_what_was_waited_for_and_how_far_it_came() -> None:
    with pytest.raises(
        AssertionError, match=r"not within 0.1 s .*: the end\nthe last answer was 0$"
    ):
        wait_until(lambda: 0, "the end", 0.1, pause=0.01)
    with pytest.raises(AssertionError, match=r"the end\n7 of 9"):
        wait_until(lambda: False, "the end", 0.0, last=lambda: "7 of 9")


def test_without_a_name_the_callers_line_is_shown() -> None:
    with pytest.raises(AssertionError, match=r": wait_until\(list, seconds=0.0\)  # here"):
        wait_until(list, seconds=0.0)  # here


def test_something_may_go_on_meanwhile() -> None:
    done: list[int] = []
    wait_until(lambda: len(done) == 4, pause=0, meanwhile=lambda: done.append(1))
