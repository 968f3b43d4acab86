"""`peerview demo`: everything on this machine, from an empty broker to what a peer reads."""

import shutil
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from peerview_common import topics
from peerview_common.catalogue import catalogue
from peerview_common.days import LONDON
from peerview_tools.broker import Broker, start_broker
from peerview_tools.client import Client
from peerview_tools.demo import actions, freshness, network
from peerview_tools.demo.actions import Loaded, NotHappenedError
from peerview_tools.demo.ending import run_to_its_end
from peerview_tools.demo.freshness import Freshness
from peerview_tools.demo.network import Tokens
from peerview_tools.demo.peer_table import peer_table
from peerview_tools.demo.stack import Stack
from peerview_tools.demo.steps import Steps, make_console, stage_table
from peerview_tools.demo.streaming import Streaming
from peerview_tools.issuer import DevelopmentIssuer
from peerview_tools.simulator import PRACTICES, Practice, history, roster

BATCH: Final = 1000
"""Resources in one bulk submission."""
CUT_EVERY_S: Final = 120
TARGETS_MS: Final = {0.5: 50.0, 0.99: 250.0}

INVITATION: Final = """
Everything runs. Open

    [bold]{url}/[/]

What to look at:

  1. Your own figures are live: the practices go on sending records, so load the page again.
  2. Peers' figures are released ones: rounded, and suppressed where too few patients are behind
     them. A release is cut every {minutes} minutes.
  3. “{not_shared}” is in no agreement: each practice sees its own, and nobody another's.
  4. Look as another practice (at the top): its own figures, and the same released ones.
  5. Let {other} withdraw. Its figures are gone from everybody's page within
     5 seconds:

     export PEERVIEW_SHARE={url}
     export PEERVIEW_TOKEN=$({token})
     peerview agreement withdraw {agreement} --yes

Records go to {ingest} (`peerview send`). Logs and data: {home}
Ctrl-C stops everything and leaves nothing behind.
"""


@dataclass(frozen=True)
class Options:
    once: bool
    practices: int = 5
    rate: float = 4.0
    samples: int = 200
    keep: Path | None = None


def run(options: Options) -> int:
    """0 when all went as it should, 1 with the reason when something did not."""
    console = make_console()

    def work(ending: ExitStack) -> int:
        Demonstration(options, console, ending).run()
        return 0

    return run_to_its_end(work, console, until_stopped=not options.once)


class Demonstration:
    """One run. What it starts is put on `ending`, which ends it in the opposite order."""

    def __init__(self, options: Options, console: Console, ending: ExitStack) -> None:
        self.options = options
        self.console = console
        self.ending = ending
        self.steps = Steps(console)
        self.practices = list(PRACTICES[: options.practices])
        self.rows: list[tuple[str, str]] = []
        self.loaded: dict[str, Loaded] = {}

    def run(self) -> None:
        began = time.monotonic()
        self.console.print(
            f"[bold]Peerview[/]: {len(self.practices)} made-up practices on this machine. "
            "Nothing leaves it.\n",
            highlight=False,
        )
        self.day = datetime.now(LONDON).date()
        self.home = self._home()
        self._start_broker()
        self._start_services()
        self._load()
        self._await_figures()
        self._agree()
        self._release()
        if self.options.once:
            self._measure()
            self._ask_compute()
            self.row("in all", f"{time.monotonic() - began:.1f} s")
            self.console.print()
            self.console.print(stage_table(self.rows))
            self._print_peer_view()
        else:
            self._invite()
            self._go_on()

    def row(self, name: str, seen: str) -> None:
        self.rows.append((name, seen))

    # -- steps

    def _home(self) -> Path:
        if self.options.keep is not None:
            self.options.keep.mkdir(parents=True)
            return self.options.keep
        home = Path(tempfile.mkdtemp(prefix="peerview-demo-"))
        self.ending.callback(shutil.rmtree, home, ignore_errors=True)
        return home

    def _start_broker(self) -> None:
        with self.steps.step("broker", "starting Kafka") as step:
            broker: Broker = start_broker(say=step.waiting)
            self.ending.callback(broker.stop)
            self.prefix = ""
            if broker.kind == "given":
                # somebody's own broker may hold other things: keep apart from them
                self.prefix = f"peerview-demo-{int(time.time())}."
            self.bootstrap = broker.bootstrap
            step.done = broker.description
        self.row("broker up", f"{step.seconds:.1f} s, {broker.description}")

    def _start_services(self) -> None:
        with self.steps.step("services", "starting ingest, compute and share") as step:
            self.issuer = DevelopmentIssuer(self.home / "issuer")
            self.tokens = Tokens(self.issuer)
            self.stack = Stack(
                self.home / "services",
                bootstrap=self.bootstrap,
                jwks=self.issuer.jwks,
                prefix=self.prefix,
                settings=self._settings(),
            )
            made = topics.provision(
                self.bootstrap, prefix=self.prefix, partitions=self.stack.partitions
            )
            self.ending.callback(self.stack.stop)
            self.stack.start()
            self.stack.wait_ready(waiting=step.waiting)
            step.done = f"ingest, compute and share are ready; {len(made)} topics"
        self.row("services up", f"{step.seconds:.1f} s, three processes, {len(made)} topics")

    def _settings(self) -> dict[str, str]:
        calendar = "monthly" if self.options.once else f"every:{CUT_EVERY_S}"
        return {
            "LAG_DAYS": "0",
            "CUT_CALENDAR": calendar,
            "EPOCH_DEADLINE_S": "60",
            "TICK_SECONDS": "1",
        }

    def _load(self) -> None:
        with self.steps.step("records", "each practice sends its records") as step:
            total = Loaded()
            records = {p.ods: list(history(p, self.day)) for p in self.practices}
            wanted = sum(len(found) for found in records.values())
            done = Counter[str]()

            def load(practice: Practice) -> Loaded:
                mine = Loaded()
                with self.client(self.stack.ingest.url, self.tokens.system(practice)) as client:
                    for start in range(0, len(records[practice.ods]), BATCH):
                        batch = records[practice.ods][start : start + BATCH]
                        mine.add(actions.bulk(client, batch))
                        done["sent"] += len(batch)
                        step.waiting(f"{done['sent']:,} of {wanted:,} resources")
                return mine

            with ThreadPoolExecutor(len(self.practices)) as pool:
                for practice, mine in zip(
                    self.practices, pool.map(load, self.practices), strict=True
                ):
                    self.loaded[practice.ods] = mine
                    total.add(mine)
            self.stack.check()
            step.done = (
                f"{total.sent:,} resources sent; {total.accepted:,} accepted, {total.dropped:,} "
                f"dropped as unneeded, {total.rejected:,} rejected"
            )
        rate = total.sent / step.seconds
        self.row(
            "records",
            f"{total.sent:,} sent in {step.seconds:.1f} s ({rate:,.0f}/s): {total.accepted:,} "
            f"accepted, {total.dropped:,} dropped, {total.rejected:,} rejected",
        )

    def _await_figures(self) -> None:
        with self.steps.step("figures", "computing twelve live figures a practice") as step:
            self.live: dict[str, dict[str, Any]] = {}
            for practice in self.practices:
                step.waiting(practice.name)
                with self.client(self.stack.share.url, self.tokens.staff(practice)) as client:
                    self.live[practice.ods] = actions.await_counted(
                        client,
                        practice.ods,
                        self.loaded[practice.ods].positions,
                        check=self.stack.check,
                    )
            values = sum(len(found) for found in self.live.values())
            step.done = f"{values} live figures of {len(self.practices)} practices"
        self.row("values", f"{values}, complete {step.seconds:.1f} s after the last record")

    def _agree(self) -> None:
        with self.steps.step("agreement", "the practices sign") as step:
            document = network.agreement(self.practices, catalogue(), self.day)
            for n, practice in enumerate(self.practices):
                with self.client(self.stack.share.url, self.tokens.signatory(practice)) as client:
                    if n == 0:
                        client.post("/v1/agreements", document)
                    found = actions.sign(client, network.AGREEMENT)
            if found["status"] != "active":
                raise NotHappenedError(f"all have signed, and the agreement is {found['status']}")
            step.done = f"“{document['title']}” is active, signed by all {len(self.practices)}"
        self.row("agreement", f"active, {len(self.practices)} signatures ({step.seconds:.1f} s)")

    def _release(self) -> None:
        with self.steps.step("release", "cutting a release, and waiting for it as a peer") as step:
            with self.client(self.stack.share.url, self.tokens.operator()) as client:
                actions.cut(client)
            viewer = self.practices[0]
            with self.client(self.stack.share.url, self.tokens.staff(viewer)) as client:
                self.view = actions.await_released(
                    client, network.NETWORK, seconds=60, check=self.stack.check
                )
            cells = actions.cells(self.view)
            found = actions.states(cells)
            told = ", ".join(f"{count} {state}" for state, count in sorted(found.items()))
            step.done = f"epoch {self.view['epoch']['number']}: {told}"
        self.row("release", f"{step.seconds:.1f} s from the cut until a peer reads it")
        self.row("cells", f"{len(cells)} as {viewer.name} sees them: {told}")
        if not found.get("value"):
            raise NotHappenedError("the release holds no value")

    def _measure(self) -> None:
        measured, *others = self.practices
        with self.steps.step("freshness", "timing submissions until they show") as step:
            streaming = Streaming(
                self.stack.ingest.url, self.tokens.system, others, per_second=self.options.rate
            )
            streaming.start()
            self.ending.callback(streaming.stop)
            share = self.client(self.stack.share.url, self.tokens.staff(measured))
            with (
                self.client(self.stack.ingest.url, self.tokens.system(measured)) as ingest,
                share,
            ):
                found = freshness.measure(
                    ingest,
                    share,
                    practice=measured.ods,
                    patients=toggling(measured, self.day),
                    samples=self.options.samples,
                    progress=lambda n: step.waiting(f"{n} of {self.options.samples}"),
                )
            streaming.stop()
            self.stack.check()
            if streaming.problem is not None:
                raise NotHappenedError(f"streaming stopped: {streaming.problem}")
            step.done = freshness_line(found)
        self.row(
            "freshness",
            f"{freshness_line(found)}; {len(found.visible)} submissions, while "
            f"{len(others)} others sent {self.options.rate:g} changes/s each",
        )
        whole = [a + b for a, b in zip(found.accepted, found.visible, strict=True)]
        for name, told, times in (
            ("acknowledged", "from sending to the 202", found.accepted),
            ("end to end", "from sending to the live figure", whole),
        ):
            p50, p99 = (freshness.quantile(times, share) for share in TARGETS_MS)
            self.row(name, f"{told} p50 {p50:.0f} ms, p99 {p99:.0f} ms")

    def _ask_compute(self) -> None:
        """What compute did in all, by its own metrics."""
        found = self.stack.compute.metrics()
        self.row(
            "computed",
            f"{found['peerview_compute_facts_total']:,.0f} facts of "
            f"{found['peerview_compute_patients']:,.0f} patients, "
            f"{found['peerview_compute_evaluations_total']:,.0f} evaluations",
        )
        self.row("snapshots", f"of {found['peerview_compute_snapshots_total']:.0f} practices")

    def _print_peer_view(self) -> None:
        viewer = self.practices[0]
        self.console.print(f"\nWhat {viewer.name} sees of its peers, released as of {self.day}:\n")
        self.console.print(peer_table(self.view, self.practices))

    def _invite(self) -> None:
        other = self.practices[1]
        keys = self.home / "issuer"
        token = f"peerview token --keys {keys} --practice {other.ods} --role signatory"
        self.console.print(
            INVITATION.format(
                url=self.stack.share.url,
                ingest=self.stack.ingest.url,
                home=self.home,
                minutes=CUT_EVERY_S // 60,
                not_shared=catalogue()[network.NOT_SHARED].title,
                other=other.name,
                token=token,
                agreement=network.AGREEMENT,
            ),
            highlight=False,
            soft_wrap=True,
        )

    def _go_on(self) -> None:
        streaming = Streaming(
            self.stack.ingest.url, self.tokens.system, self.practices, per_second=self.options.rate
        )
        self.ending.callback(streaming.stop)
        streaming.start()
        idle = threading.Event()
        with self.console.status("") as status:
            while not idle.wait(0.5):
                self.stack.check()
                if streaming.problem is not None:
                    raise NotHappenedError(f"streaming stopped: {streaming.problem}")
                counts = Counter(streaming.counts)
                told = ", ".join(f"{counts[kind]:,} {kind}s" for kind in sorted(counts))
                status.update(f"changes sent: {told or 'none yet'}")

    def client(self, url: str, token: str) -> Client:
        return Client(url, lambda: token)


def toggling(practice: Practice, day: date) -> list[str]:
    """Patients whose `bp-htn-u80` follows their newest reading: FHIR ids, at most 40."""
    return [
        person.identity
        for person in roster(practice, day)
        if person.hypertension
        and not (person.frail or person.left or person.died or person.objects)
        and 18 <= person.age(day) <= 78
    ][:40]


def freshness_line(found: Freshness) -> str:
    """p50 and p99 with their targets."""
    parts = []
    for share, target in TARGETS_MS.items():
        value = found.quantile(share)
        verdict = "within" if value <= target else "over"
        parts.append(f"p{share * 100:.0f} {value:.0f} ms ({verdict} {target:.0f})")
    return "from the 202 to the live figure " + ", ".join(parts)
