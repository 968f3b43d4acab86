"""A random graph of agreements, what happens in it, and whose data differs between two runs."""

import random
from dataclasses import dataclass

INDICATORS = ("bp-htn-u80", "dna", "broad-abx")
NETWORKS = ("north", "south")
MODES = ("none", "distribution", "anonymous", "named", "named", "named")
EPOCHS = 3
KINDS = ("other", "few", "nothing", "agreement")


@dataclass
class Graph:
    """``hidden`` are the indicators of ``subject`` whose data differs between the runs."""

    seed: int
    practices: list[str]
    documents: list[dict]
    signers: dict[str, list[str]]
    limits: list[tuple[str, str, dict]]
    acts: list[tuple[int, str, str, str]]
    """``(after which epoch, agreement, practice, act)``"""
    subject: str
    hidden: frozenset[str]
    kind: str
    """How it differs: other figures altogether, a few patients, nothing came; or an agreement of
    others is there, with all that they see under it."""
    readers: list[str]
    """Who reads: of many practices some, for the rest would only take longer."""

    def contributions(self, practice, indicator, epoch, *, run):
        """``{patient: (denominator, numerator)}``, None where nothing comes of the practice."""
        differs = practice == self.subject and indicator in self.hidden and run == 1
        if differs and self.kind == "nothing" and epoch >= 2:
            return None
        seed = f"{self.seed}/{practice}/{indicator}"
        if differs and self.kind == "other":
            seed += "/other"
        found = _patients(random.Random(seed), epoch)
        if differs and self.kind == "few":
            rng = random.Random(f"{seed}/few/{epoch}")
            for patient in rng.sample(sorted(found), rng.randrange(1, 6)):
                found[patient] = (1, 1 - found[patient][1])
        return found

    @property
    def parties_of_others(self):
        """Who signs one agreement more in one of the runs: the subject and somebody else."""
        if self.kind != "agreement":
            return []
        return [self.subject, next(name for name in self.practices if name != self.subject)]

    def agreement_of_others(self):
        """What they sign; None where it is not by an agreement that the runs differ."""
        if self.kind != "agreement":
            return None
        return _plain(
            "of-others",
            self.parties_of_others,
            network={"id": "west", "type": "informal"},
            dataItems=[{"indicatorId": name} for name in INDICATORS],
            peerIdentification={"mode": "named"},
        )

    def live(self, practice, indicator, *, run):
        """``(denominator, numerator)``: never shown to a peer."""
        other = practice == self.subject and run == 1
        rng = random.Random(f"{self.seed}/{practice}/{indicator}/live{'/other' * other}")
        denominator = rng.randrange(100, 2_000)
        return denominator, rng.randrange(denominator)


def _patients(rng, epoch):
    """Some stay as they are from epoch to epoch, some change by few patients, some by many."""
    size = rng.choice((60, 120))
    found = {n: (1, int(rng.random() < 0.6)) for n in range(size)}
    for _ in range(epoch - 1):
        for patient in rng.sample(range(size), rng.choice((0, 3, 12, 30))):
            found[patient] = (1, 1 - found[patient][1])
    return found


def graph(seed):
    rng = random.Random(seed)
    # one in ten is large enough for views that name nobody
    large = rng.random() < 0.1
    count = rng.randrange(13, 15) if large else rng.randrange(3, 6)
    practices = [f"A99{n:03}" for n in range(1, count + 1)]
    documents, signers, limits, acts = [], {}, [], []
    for number in range(rng.randrange(1, 3 if large else 4)):
        document = _document(rng, number, practices, large=large, stricter=_stricter(seed, number))
        documents.append(document)
        parties = [party["odsCode"] for party in document["parties"]]
        everybody = rng.random() < 0.85
        signers[document["id"]] = parties if everybody else parties[:-1]
        indicators = [item["indicatorId"] for item in document["dataItems"]]
        for party in parties:
            if rng.random() < 0.2:
                mode = {rng.choice(indicators): rng.choice(("none", "anonymous", "prohibit"))}
                limits.append((document["id"], party, {"mode": "named", "perIndicator": mode}))
        for epoch in range(1, EPOCHS):
            if rng.random() < 0.3:
                act = rng.choice(("suspend", "withdraw", "resume"))
                acts.append((epoch, document["id"], rng.choice(parties), act))
    hidden = rng.sample(INDICATORS, rng.randrange(1, len(INDICATORS) + 1))
    subject, kind = rng.choice(practices), rng.choice(KINDS)
    return Graph(
        seed,
        practices,
        documents,
        signers,
        limits,
        acts,
        subject,
        frozenset() if kind == "agreement" else frozenset(hidden),
        kind,
        rng.sample(practices, 3),
    )


def _stricter(seed, number):
    """What an agreement asks beyond the usual, in every second: drawn apart from the rest, which
    stays as it was."""
    rng = random.Random(f"{seed}/stricter/{number}")
    if rng.random() < 0.5:
        return {}
    asked = {"minChange": rng.choice((8, 10, 15, 20, 30)), "minPatients": rng.choice((20, 60, 100))}
    return {"disclosureControl": asked}


def _document(rng, number, practices, *, large, stricter):
    least = 12 if large else 2
    parties = rng.sample(practices, rng.randrange(least, len(practices) + 1))
    indicators = rng.sample(INDICATORS, rng.randrange(1, len(INDICATORS) + 1))
    return _plain(
        f"agreement-{number}",
        parties,
        network={"id": rng.choice(NETWORKS), "type": "pcn"},
        dataItems=[{"indicatorId": name} for name in indicators],
        peerIdentification={
            "mode": rng.choice(MODES),
            "perIndicator": {name: rng.choice(MODES) for name in indicators if rng.random() < 0.4},
            "reciprocal": rng.random() < 0.5,
            "minPeers": rng.choice((0, 0, 2)),
        },
        **stricter,
    )


def _plain(identity, parties, **clauses):
    return {
        "id": identity,
        "title": "Learning together",
        "parties": [{"odsCode": code, "name": f"Practice {code}"} for code in parties],
        "purposes": ["quality-improvement"],
        "validFrom": "2026-01-01",
        **clauses,
    }
