"""What a practice's notes know of code lists that come, go and come back."""

from peerview_common.codes import shipped
from peerview_compute.engine.records import Notes
from tests.compute.engine import test_partition as helped
from tests.compute.engine.world import CORE

OLD = shipped().version


def test_what_a_list_drops_for_a_while_is_missing_when_it_comes_back() -> None:
    wide = helped.listed(helped.NEW)
    version = wide.definitions.codes_version
    first = helped.under(wide, Notes(first={version: 1}))
    narrow = helped.carried_over(first, CORE)
    assert helped.states(narrow) == {"cervical"}
    for code, practice in narrow.practices.items():
        assert code
        narrow.note(practice, Notes(first={OLD: 2}))
    back = helped.carried_over(narrow, wide, Notes(first={version: 3}))
    assert helped.states(back) == {"cervical"}
    assert helped.states(helped.carried_over(back, wide, Notes(codes={version: 4}))) == set()
    # nothing came under the narrow list: nothing was dropped
    assert helped.states(helped.carried_over(helped.carried_over(first, CORE), wide)) == set()


def test_an_interlude_leaves_the_other_clusters_alone() -> None:
    wide = helped.listed(helped.NEW)
    version = wide.definitions.codes_version
    first = helped.under(CORE, Notes(first={OLD: 1}))
    practice = next(iter(first.practices.values()))
    first.note(practice, Notes(first={OLD: 1}, position=3))
    second = helped.carried_over(first, wide, Notes(first={version: 5}))
    third = helped.carried_over(second, CORE, Notes(first={OLD: 7}))
    assert helped.states(second) == {"cervical"}
    assert helped.states(third) == {"cervical"}
