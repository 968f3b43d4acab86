"""Two whole share services on one PostgreSQL, with the intervals of production and without Kafka:
a withdrawal holds everywhere within five seconds, and who is cut off shows nothing."""

import time
from contextlib import ExitStack, contextmanager

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.engine import make_url

from peerview_share.agreements.acts import Actor
from peerview_share.agreements.document import Agreement
from peerview_share.api.app import create_app
from peerview_share.main import build
from tests.share.support import document, settings
from tests.support.relay import Relay
from tests.support.waiting import wait_until

A, B = "A99001", "A99002"
WITHDRAWALS = 40
NOBODY_LISTENS = "127.0.0.1:1"
NOW = 1_790_000_000_000


def now():
    """Time goes on as it does; only the day is the tests' own."""
    return NOW + time.monotonic_ns() // 1_000_000 % 1_000_000


@contextmanager
def replica(tmp_path, issuer, url):
    """A service that runs, with its own connections, threads and HTTP."""
    share = build(settings(tmp_path, issuer, share_database=url, kafka=NOBODY_LISTENS), clock=now)
    assert (share.settings.revision_poll_s, share.settings.revision_max_age_s) == (1.0, 4.0)
    with TestClient(create_app(share)) as client:
        client.share, client.issuer = share, issuer
        yield client


def peers(client, network):
    url = f"/v1/networks/{network}/indicators"
    return client.get(url, headers=client.issuer.headers(A))


def agree(share, number):
    """An agreement of a network of its own, active."""
    parsed = Agreement.model_validate(
        document(A, B, id=f"agreement-{number}", network={"id": f"network-{number}"})
    )
    share.acts.create(parsed, Actor(A, "dr-a", "Dr A"))
    for code in (A, B):
        share.acts.sign(parsed.id, 1, parsed.terms_hash(), Actor(code, "dr", "Dr"))


def test_a_withdrawal_holds_everywhere_within_five_seconds(tmp_path, issuer, postgres_database):
    with ExitStack() as stack:
        one, two = (
            stack.enter_context(replica(tmp_path, issuer, postgres_database.url)) for _ in range(2)
        )
        for number in range(WITHDRAWALS):
            agree(one.share, number)
        networks = [f"network-{number}" for number in range(WITHDRAWALS)]
        seen = [(A, network) for network in networks]
        wait_until(
            lambda: {(A, n) for n in two.share.agreements.get().index.networks_of(A)} == set(seen),
            "the other replica knows all agreements",
            10,
        )
        assert all(peers(client, networks[0]).status_code == 200 for client in (one, two))

        began, ended = {}, {}

        def look():
            index = two.share.agreements.get().index
            for network in began.keys() - ended.keys():
                if not index.of(network, A):
                    ended[network] = time.monotonic()
            return len(ended) == WITHDRAWALS

        for number, network in enumerate(networks):
            began[network] = time.monotonic()
            answer = one.post(
                f"/v1/agreements/agreement-{number}/withdraw", headers=issuer.headers(B)
            )
            assert answer.status_code == 200
            assert not one.share.agreements.get().index.of(network, A), "at once where it was done"
            # so that they do not all come between the same two polls
            until = time.monotonic() + 0.05
            wait_until(lambda until=until: look() or time.monotonic() > until, "a moment", 5)
        wait_until(look, "every withdrawal is known to the other replica", 10)
        took = sorted(ended[network] - began[network] for network in networks)
        p99 = took[round(0.99 * (len(took) - 1))]
        print(f"{len(took)} withdrawals: p50 {took[len(took) // 2]:.2f} s, p99 {p99:.2f} s")
        assert p99 < 5
        assert all(peers(client, network).status_code == 403 for client in (one, two)
                   for network in networks[:3])  # fmt: skip
        assert "broker" in one.get("/health/ready").text, "Kafka was away all the time"


@pytest.mark.parametrize("how", ["cut", "freeze"])
def test_a_replica_that_is_cut_off_from_the_database_shows_nothing(
    tmp_path, issuer, postgres_database, how
):
    url = make_url(postgres_database.url)
    relay = Relay(url.host, url.port)
    behind = url.set(host="127.0.0.1", port=relay.port).render_as_string(hide_password=False)
    with ExitStack() as stack:
        stack.callback(relay.close)
        one = stack.enter_context(replica(tmp_path, issuer, postgres_database.url))
        agree(one.share, 0)
        two = stack.enter_context(replica(tmp_path, issuer, behind))
        assert peers(two, "network-0").status_code == 200
        began = time.monotonic()
        getattr(relay, how)()
        assert one.post(
            "/v1/agreements/agreement-0/withdraw", headers=issuer.headers(B)
        ).status_code == 200  # fmt: skip
        wait_until(lambda: two.share.agreements.age() > 4, "its last poll is four seconds old", 10)
        refused = peers(two, "network-0")
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:peerview:problem:agreements-unconfirmed"
        assert time.monotonic() - began < 5, "nothing is shown five seconds after the withdrawal"
        assert peers(one, "network-0").status_code == 403
        relay.restore()
        wait_until(
            lambda: peers(two, "network-0").status_code == 403, "it is there again, and knows", 20
        )
