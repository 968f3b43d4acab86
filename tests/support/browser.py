"""A real Chromium for tests of pages: the machine's own, driven by playwright; and axe-core."""

import contextlib
import os
import shutil
import tarfile
from collections.abc import Iterator
from functools import cache

from playwright.sync_api import Browser, Error, Page, sync_playwright

from peerview_tools.npm import fetched_package

NAMES = ("chromium", "chromium-browser", "google-chrome")
AXE = ("axe-core", "4.14.1")
AXE_INTEGRITY = (
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09"
    "a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
)


class NoBrowserError(RuntimeError):
    """No Chromium starts here; the message says what was tried."""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """`PEERVIEW_CHROMIUM` names one; else the first on PATH, else playwright's own."""
    named = os.environ.get("PEERVIEW_CHROMIUM")
    program = named or next((path for name in NAMES if (path := shutil.which(name))), None)
    # Chromium's sandbox refuses to work for root, as in most containers
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=program, args=arguments)
        except Error as error:
            reason = str(error).splitlines()[0]
            raise NoBrowserError(
                f"no Chromium starts ({program or 'none on PATH'}): {reason}"
            ) from None
        try:
            yield browser
        finally:
            browser.close()


@cache
def _axe_source() -> str:
    """Raises NpmError where it cannot be had."""
    archive = fetched_package(*AXE, AXE_INTEGRITY, "1 MB", print)
    with tarfile.open(archive) as package:
        found = package.extractfile("package/axe.min.js")
        assert found is not None
        return found.read().decode()


def axe_violations(page: Page) -> list[str]:
    """What axe-core finds wrong with the page as it stands: rule, and where."""
    # not as a script of the page, which its policy forbids
    page.evaluate(_axe_source())
    found = page.evaluate("() => axe.run(document)")
    return [
        f"{wrong['id']}: {wrong['help']}: {node['target']}"
        for wrong in found["violations"]
        for node in wrong["nodes"]
    ]
