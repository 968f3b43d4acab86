"""The same service on PostgreSQL: one life from proposal to withdrawal."""

from fastapi.testclient import TestClient
from sqlalchemy.engine import make_url

from peerview_share.api.app import create_app
from tests.share.support import Clock, World, document, make_share, patients

A, B, C = "A99001", "A99002", "A99003"


def test_propose_sign_release_read_withdraw(tmp_path, issuer, postgres_database):
    clock = Clock()
    share = make_share(tmp_path, clock, issuer, share_database=postgres_database.url)
    assert make_url(share.database.url).get_backend_name() == "postgresql"
    world = World(share, clock, issuer, TestClient(create_app(share)))
    world.agree(document(A, B, C))
    for numerator in (40, 43, 60):
        cells = {"bp-htn-u80": patients(numerator, 100), "dna": patients(20, 400)}
        world.release(dict.fromkeys((A, B, C), cells))
    seen = [
        [
            (c["state"], c["numerator"])
            for c in world.peers(A, path="/bp-htn-u80", epoch=epoch).json()["cells"]
        ]
        for epoch in (1, 2, 3)
    ]
    assert seen == [[("value", 40)] * 2, [("carried-forward", 40)] * 2, [("value", 60)] * 2]
    assert "60%" in world.client.get("/").text
    assert world.act("north-learning", B, "withdraw").status_code == 200
    assert {c["subject"] for c in world.peers(A).json()["cells"]} == {C}
    answer = world.client.get(f"/v1/practices/{C}/disclosures", headers=issuer.headers(C))
    assert [d["channel"] for d in answer.json()["disclosures"]] == ["api", "page", *["api"] * 3]
    share.database.close()
