"""Ingest that ends by kill -9 between the log's acknowledgement and its own database's commit.

``python -m tests.ingest.dying`` with ``DIE_AT_COMMIT=N``: the N-th commit does not come about.
"""

import os
import signal
import sys
from typing import Any

from peerview_ingest.main import main
from peerview_ingest.store import Turn

left = int(os.environ["DIE_AT_COMMIT"])
commit = Turn.commit


def commit_or_die(self: Turn, *args: Any, **rest: Any) -> None:
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    commit(self, *args, **rest)


Turn.commit = commit_or_die  # type: ignore[method-assign]
sys.exit(main())
