"""A hold and the publication that comes at the same moment are decided in turn."""

import threading

from peerview_common.catalogue import catalogue
from peerview_share.disclosure.cell import CellState
from peerview_share.release.previewing import NothingToHoldError, Previews
from peerview_share.store import epochs as store
from tests.share.release.test_epochs import A, Leading
from tests.share.support import patients, submit


def test_a_hold_that_was_answered_is_not_published(database):
    """While a publication is under way a hold waits, and then says that it is too late."""
    leading = Leading(database)
    leading.release(20_000, 40)
    epoch = leading.epochs.open(20_030)
    leading.epochs.mark_sent(epoch)
    cells = {"bp-htn-u80": patients(60, 100)}
    submit(database, A, epoch.number, cells, now=leading.clock.now)
    leading.close()
    answers, asked = [], threading.Event()
    previews = Previews(database, catalogue(), leading.epochs, leading.clock)

    def hold():
        asked.set()
        try:
            previews.hold(A, "bp-htn-u80", by="dr", note="")
            answers.append("held")
        except NothingToHoldError:
            answers.append("too late")

    asking = threading.Thread(target=hold)

    def publishing(connection, _):
        # the holds were read by now
        asking.start()
        asked.wait(10)
        asking.join(0.3)
        answers.append("published")

    leading.epochs._on_publish = publishing
    assert leading.epochs.publish_if_due(leading.epochs.current(), lambda connection: None)
    asking.join(20)
    with database.read() as connection:
        shown = store.cells(connection, epoch.number)[A]["bp-htn-u80"]
    assert answers == ["published", "too late"]
    assert shown.state is CellState.VALUE
