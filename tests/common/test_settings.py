"""Production refuses what only a demonstration may do."""

import pytest
from pydantic import ValidationError

from peerview_common.settings import CommonSettings, IngestSettings, ShareSettings

PRODUCTION = {
    "PEERVIEW_MODE": "production",
    "PEERVIEW_ISSUER": "https://issuer.example",
    "PEERVIEW_JWKS": "https://issuer.example/jwks",
}


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_production_starts_with_a_real_issuer(production: pytest.MonkeyPatch) -> None:
    assert CommonSettings().mode == "production"


def test_production_refuses_the_development_issuer(production: pytest.MonkeyPatch) -> None:
    production.setenv("PEERVIEW_ISSUER", "urn:peerview:development")
    with pytest.raises(ValidationError, match="development token issuer"):
        CommonSettings()


def test_production_refuses_keys_from_a_file(production: pytest.MonkeyPatch) -> None:
    production.setenv("PEERVIEW_JWKS", "file:jwks.json")
    with pytest.raises(ValidationError, match="https"):
        CommonSettings()


def test_production_refuses_a_short_master_key(production: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="32 bytes"):
        IngestSettings()
    production.setenv("PEERVIEW_MASTER_KEY", "ab" * 32)
    IngestSettings()


def test_production_refuses_a_fixed_clock(production: pytest.MonkeyPatch) -> None:
    production.setenv("PEERVIEW_CLOCK_DAY", "2026-01-01")
    with pytest.raises(ValidationError, match="fixed clock"):
        ShareSettings()


def test_lists_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEERVIEW_REGISTER_ALL", "synthea, other ")
    assert IngestSettings().register_all == {"synthea", "other"}
