"""`peerview token`: what it says is what the services read in it."""

from pathlib import Path

import pytest

from peerview_common.auth import AuthError, KeySource, TokenVerifier
from peerview_common.settings import DEVELOPMENT_ISSUER
from peerview_tools.issuer import DevelopmentIssuer
from peerview_tools.token import SCOPES, run

SAID = {
    "subject": "dr-who",
    "practices": ["A99001"],
    "scopes": [],
    "roles": ["signatory"],
    "system": "s",
    "hours": 1.0,
}


def test_the_services_read_what_was_said(tmp_path: Path, capsys) -> None:
    assert run(tmp_path, **SAID) == 0
    keys = KeySource(DevelopmentIssuer(tmp_path).jwks)
    verifier = TokenVerifier(keys, issuer=DEVELOPMENT_ISSUER, audience="peerview")
    found = verifier.verify(capsys.readouterr().out.strip())
    assert found.subject == "dr-who"
    assert found.practices == {"A99001"}
    assert found.roles == {"signatory"}
    assert found.scopes == set(SCOPES)
    assert found.system == "s"


def test_another_folder_is_another_issuer(tmp_path: Path, capsys) -> None:
    run(tmp_path / "one", **SAID)
    keys = KeySource(DevelopmentIssuer(tmp_path / "two").jwks)
    verifier = TokenVerifier(keys, issuer=DEVELOPMENT_ISSUER, audience="peerview")
    with pytest.raises(AuthError):
        verifier.verify(capsys.readouterr().out.strip())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"practices": ["nowhere!"]}, "not an ODS code"),
        ({"scopes": ["everything"]}, "no such scope: everything"),
        ({"roles": ["king"]}, "no such role: king"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, capsys, wrong, words) -> None:
    assert run(tmp_path, **(SAID | wrong)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err


def test_production_gets_none(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("PEERVIEW_MODE", "production")
    assert run(tmp_path, **SAID) == 2
    assert "ask the real issuer" in capsys.readouterr().err
