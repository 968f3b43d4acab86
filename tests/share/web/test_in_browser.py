"""The pages in a real Chromium, without JavaScript of theirs: from a draft to a withdrawal."""

import re
import shlex
import shutil

import pytest
from playwright.sync_api import expect
from structlog.testing import capture_logs
from typer.testing import CliRunner

from peerview_tools import signing_key
from peerview_tools.cli import app
from peerview_tools.npm import NpmError
from tests.share.serving import served
from tests.share.support import document, live_value, patients
from tests.support.browser import NoBrowserError, axe_violations, chromium

A, B, C = "A99001", "A99002", "A99003"


@pytest.fixture(scope="module")
def browser():
    try:
        with chromium() as found:
            yield found
    except NoBrowserError as reason:
        pytest.skip(str(reason))


@pytest.fixture
def address(world):
    for practice in (A, B, C):
        world.share.figures.put(live_value(practice))
    with served(world.client.app) as url:
        yield url


@pytest.fixture
def open_page(browser, address):
    """A page of a person's own, who has chosen a practice."""
    contexts = []

    def opened(practice, **options):
        chosen = {"java_script_enabled": False} | options
        context = browser.new_context(base_url=address, **chosen)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.goto("/")
        page.get_by_label("Look as practice").select_option(practice)
        page.get_by_role("button", name="Show").click()
        return page

    yield opened
    for context in contexts:
        context.close()


def sign(page):
    page.goto("/agreements")
    page.get_by_role("link", name="Read and sign version").first.click()
    shown = page.locator("code.hash").inner_text()
    page.get_by_label("first 8 characters").fill(shown[:8])
    page.get_by_label("I have read these terms").check()
    page.get_by_role("button", name="Sign these terms").click()
    expect(page.get_by_role("status")).to_contain_text("You have signed")


def test_from_a_draft_to_a_withdrawal(world, open_page):
    first, second = open_page(A), open_page(B)
    first.get_by_role("link", name="Agreements").click()
    first.get_by_role("link", name="Draft an agreement").click()
    first.get_by_label("Title").fill("Learning together")
    first.get_by_role("button", name="Check").last.click()
    expect(first.get_by_role("alert")).to_contain_text("There is a problem")
    first.get_by_role("alert").get_by_role("link").first.click()
    expect(first).to_have_url(re.compile("#"))
    first.get_by_label("Id", exact=True).fill("north-learning")
    first.get_by_label("Id of the network").fill("north")
    first.get_by_label("Code of party 2").fill(B)
    first.get_by_label("Name of party 2").fill("Limesbrook Surgery")
    first.get_by_label("quality improvement").check()
    first.locator("#item-dna").check()
    first.get_by_label("Holds from").fill("2026-01-01")
    # Enter checks, and does not propose
    first.get_by_label("Title").press("Enter")
    expect(first.get_by_role("status")).to_contain_text("Nothing is wrong with it")
    first.get_by_role("button", name="Propose it").click()
    expect(first.get_by_role("status")).to_contain_text("The agreement is proposed")

    cells = {"dna": patients(20, 400)}
    world.release({A: cells, B: cells})
    first.get_by_role("link", name="What each viewer would see").click()
    expect(first.locator("#viewer-A99002")).to_be_visible()
    expect(first.get_by_role("cell", name="20 of 400 appointments").first).to_be_visible()
    sign(first)
    sign(second)
    expect(second.get_by_text("in force: figures are shared under it")).to_be_visible()

    first.goto("/")
    expect(first.get_by_role("table")).to_contain_text("Limesbrook Surgery")
    second.get_by_role("link", name="Who saw ours").click()
    expect(second.get_by_role("table")).to_contain_text("demo session")
    second.get_by_label("Practice that looked").fill("A99003")
    second.get_by_role("button", name="Show").click()
    expect(second.get_by_text("Nobody has looked as far as this filter goes")).to_be_visible()

    second.goto("/agreements/north-learning")
    second.get_by_role("link", name="Withdraw").click()
    second.get_by_role("button", name="Withdraw our practice").click()
    expect(second.get_by_role("alert")).to_contain_text("Confirm it first")
    second.get_by_label("I understand that this is final").check()
    second.get_by_role("button", name="Withdraw our practice").click()
    expect(second.get_by_role("status")).to_contain_text("Your practice has withdrawn")
    first.goto("/")
    expect(first.get_by_text("no active sharing agreement")).to_be_visible()
    expect(first.get_by_role("table")).to_have_count(0)


@pytest.mark.long
def test_a_draft_of_many_clauses_is_signed_with_a_key(world, open_page, run_command, tmp_path):
    file = tmp_path / "practice.pem"
    public = signing_key.public(signing_key.make(file))
    # axe is JavaScript; the pages themselves have none
    first = open_page(A, java_script_enabled=True, bypass_csp=True)
    first.goto("/agreements/new")
    for label, text in (
        ("Id", "north-learning"),
        ("Title", "Learning together"),
        ("Id of the network", "north"),
        ("Code of party 2", B),
        ("Name of party 2", "Limesbrook Surgery"),
        ("Code of recipient 1", "N01"),
        ("Name of recipient 1", "Network office"),
        ("Smallest count", "about ten"),
        ("Holds from", "2026-01-01"),
    ):
        first.get_by_label(text_label(label)).fill(text)
    first.get_by_label("quality improvement").check()
    first.locator("#item-dna").check()
    first.get_by_label("stay in earlier releases").check()
    first.get_by_role("button", name="More recipients").click()
    expect(first).to_have_url(re.compile("#recipients$"))
    expect(first.get_by_label("Code of recipient 10")).to_be_visible()
    first.get_by_role("button", name="Check").last.click()
    problems = first.get_by_role("alert").get_by_role("link")
    expect(problems).to_have_count(2)
    expect(problems.nth(0)).to_contain_text("“about ten” is not a whole number")
    expect(problems.nth(1)).to_contain_text("Reciprocal: whoever is no practice of this agreement")
    problems.nth(0).click()
    expect(first.locator("#minCount:target")).to_have_value("about ten")
    assert _wrong(first) == []
    first.get_by_label("Smallest count").fill("12")
    first.get_by_label("Reciprocal").uncheck()
    first.get_by_role("button", name="Check").last.click()
    expect(first.get_by_role("status")).to_contain_text("Nothing is wrong with it")
    assert _wrong(first) == []
    first.get_by_role("button", name="Propose it").click()
    headers = world.issuer.headers(A)
    found = world.client.get("/v1/agreements/north-learning", headers=headers).json()["agreement"]
    assert found["audiences"] == ["members", {"odsCode": "N01", "name": "Network office"}]
    assert found["disclosureControl"]["minCount"] == 12
    assert found["withdrawal"]["pastData"] == "retain"

    run_command(A, "key", file, "--practice", A)
    first.get_by_role("link", name="Read and sign").click()
    expect(first.get_by_text(public)).to_be_visible()
    first.get_by_label("first 8 characters").fill(first.locator("code.hash").first.inner_text()[:8])
    first.get_by_label("I have read these terms").check()
    first.get_by_label("The signature that it printed").fill("practice.pem")
    first.get_by_role("button", name="Sign these terms").click()
    expect(first.get_by_role("alert")).to_contain_text("This is no signature")
    assert _wrong(first) == []
    command = shlex.split(first.get_by_label("The command that signs it").input_value())
    assert command[:4] == ["peerview", "agreement", "signature", "practice.pem"]
    proof = run_command(A, "signature", file, *command[4:])
    first.get_by_label("The signature that it printed").fill(proof)
    first.get_by_role("button", name="Sign these terms").click()
    expect(first.get_by_role("status")).to_contain_text("You have signed")
    sign(open_page(B))
    found = world.client.get("/v1/agreements/north-learning", headers=headers).json()
    assert found["status"] == "active"
    assert [x["publicKey"] for x in found["signatures"]] == [public, None]


def text_label(label):
    """Of a field that may be said to be optional."""
    return re.compile(rf"^{label}( \(optional\))?$")


@pytest.fixture
def run_command(world, address):
    """`peerview agreement` for a practice; returns what it printed."""

    def run(practice, *arguments):
        environment = {"PEERVIEW_SHARE": address, "PEERVIEW_TOKEN": world.issuer.bearer(practice)}
        with capture_logs():
            done = CliRunner().invoke(app, ["agreement", *map(str, arguments)], env=environment)
        assert done.exit_code == 0, (done.output, done.exception)
        return done.stdout

    return run


def test_suspended_and_resumed(world, open_page):
    world.agree(document(A, B))
    page = open_page(B)
    for button, label, told in (
        ("Suspend", "Suspend it for all its parties", "Nobody sees anybody"),
        ("Resume", "Resume it", "Resumed"),
    ):
        page.goto("/agreements/north-learning")
        page.get_by_role("link", name=button).click()
        page.get_by_label(label).check()
        page.get_by_role("button", name=button).click()
        expect(page.get_by_role("status")).to_contain_text(told)


def test_a_form_on_another_site_withdraws_nobody(world, open_page, browser, tmp_path):
    """With the visitor's cookies in the same browser, from an address that is not ours."""
    world.agree(document(A, B))
    page = open_page(B)
    page.goto("/agreements/north-learning/withdraw")
    target = page.url
    page.route(
        "http://bad.example/",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f'<form method="post" action="{target}"><input name="confirmed" value="yes">'
            "<button>Win a prize</button></form>",
        ),
    )
    page.goto("http://bad.example/")
    page.get_by_role("button").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("That is not allowed")
    found = world.client.get(
        "/v1/agreements/north-learning", headers=world.issuer.headers(A)
    ).json()
    assert found["status"] == "active"


PAGES = (
    "/",
    "/agreements",
    "/agreements/new",
    "/agreements/north-learning",
    "/agreements/north-learning/sign",
    "/agreements/north-learning/suspend",
    "/agreements/north-learning/withdraw",
    "/agreements/north-learning/limits",
    "/agreements/north-learning/edit",
    "/release",
    "/signing-key",
    "/why",
    "/why?network=north&other=A99002&indicator=dna",
    "/why?network=north&other=A99002&indicator=dna&at=soon",
    "/agreements/north-learning/next-version",
    "/agreements/north-learning/preview",
    "/agreements/north-learning/changes?from=1&to=2",
    "/agreements/north-learning/no-such",
    "/disclosures",
    "/disclosures?from=soon",
)


@pytest.mark.long
def test_axe_finds_nothing_and_nothing_overflows(world, browser, address):
    world.agree(document(A, B, C))
    second = document(A, B, C, version=2, supersedes=1, title="Learning more")
    world.client.post("/v1/agreements", json=second, headers=world.issuer.headers(A))
    world.release({p: {"dna": patients(20, 400)} for p in (A, B, C)})
    world.peers(B)
    context = browser.new_context(base_url=address, bypass_csp=True)
    page = context.new_page()
    found = {}
    for path in PAGES:
        page.goto(path)
        found[path] = _wrong(page)
    page.goto("/agreements/new")
    page.get_by_role("button", name="Check").last.click()
    found["a draft with faults"] = _wrong(page)
    page.goto("/agreements/north-learning/sign?version=2")
    page.get_by_role("button", name="Sign these terms").click()
    found["a signature with faults"] = _wrong(page)
    context.close()
    assert {path: wrong for path, wrong in found.items() if wrong} == {}


def _wrong(page):
    """What axe-core finds, and whether a narrow window, or text twice as large, has to scroll."""
    found = []
    for width in (320, 640, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        found += [f"{wide} px wider than {width}"] if wide > 0 else []
    try:
        return found + axe_violations(page)
    except NpmError as reason:
        if shutil.which("npm") is None:
            pytest.skip(str(reason))
        raise
