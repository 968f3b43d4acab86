"""The `peerview` command. Each command's work is in a module of its own, imported when used."""

import sys
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from peerview_tools.agreement_cli import agreements
from peerview_tools.extract_cli import extracts, send_extract
from peerview_tools.release_cli import releases

app = typer.Typer(
    name="peerview",
    help="Fresh general practice indicators, shared with chosen peers under agreements.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.command()
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Stop by itself once a peer has read a release.")
    ] = False,
    practices: Annotated[
        int, typer.Option(min=3, max=5, help="How many made-up practices take part.")
    ] = 5,
    rate: Annotated[
        float, typer.Option(min=0.1, help="Changes a second that each practice sends.")
    ] = 4.0,
    samples: Annotated[
        int, typer.Option(min=20, help="How many submissions the freshness is measured on.")
    ] = 200,
    keep: Annotated[
        Path | None, typer.Option(help="Keep data and logs in this folder, which must be new.")
    ] = None,
) -> None:
    """Broker, services and made-up practices on this machine; prints the page's address."""
    from peerview_tools.demo.run import Options, run

    raise typer.Exit(
        run(Options(once=once, practices=practices, rate=rate, samples=samples, keep=keep))
    )


@app.command("demo-synthea")
def demo_synthea(
    patients: Annotated[
        int, typer.Option(min=1, help="How many of Synthea's patients to generate.")
    ] = 200,
    fixture: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Send this FHIR file, generate nothing."),
    ] = None,
) -> None:
    """Synthea's synthetic patients through ingest, held against `peerview evaluate`."""
    from peerview_tools.demo.synthea_run import run

    raise typer.Exit(run(patients=patients, fixture=fixture))


Definitions = Annotated[
    Path | None,
    typer.Option(
        envvar="PEERVIEW_DEFINITIONS", file_okay=False, help="Definitions, not the shipped."
    ),
]
CodeListFile = Annotated[
    Path | None,
    typer.Option(envvar="PEERVIEW_CODE_LIST", dir_okay=False, help="Code list, not the shipped."),
]


@app.command()
def evaluate(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR|FILE...",
            help="FHIR NDJSON or Bundles, or folders of them; also .gz and .zst.",
        ),
    ],
    practice: Annotated[str, typer.Option(metavar="ODS", help="The practice's ODS code.")],
    as_of: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="The day, YYYY-MM-DD.")
    ],
    patients: Annotated[
        bool, typer.Option("--patients", help="Add each patient's status for each indicator.")
    ] = False,
    register_all: Annotated[
        bool,
        typer.Option("--register-all", help="Every Patient counts as registered (Synthea)."),
    ] = False,
    gaps: Annotated[
        bool, typer.Option("--gaps", help="Add each patient's care gaps, and what closes them.")
    ] = False,
    definitions: Definitions = None,
    code_list: CodeListFile = None,
) -> None:
    """Counts of a practice's indicators out of files: no broker, the services' own core."""
    from peerview_tools.evaluate import run

    day: date = as_of.date()
    raise typer.Exit(
        run(
            files,
            practice=practice,
            day=day,
            patients=patients,
            register_all=register_all,
            gaps=gaps,
            directory=definitions,
            code_list=code_list,
        )
    )


@app.command()
def send(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR|FILE...",
            help="Folders or files: .ndjson, or .json with a Bundle or resource; .gz and .zst too.",
        ),
    ],
    to: Annotated[
        str, typer.Option(envvar="PEERVIEW_INGEST", metavar="URL", help="Address of ingest.")
    ],
    token: Annotated[
        str, typer.Option(envvar="PEERVIEW_TOKEN", help="Bearer token; better in the variable.")
    ],
    practice: Annotated[
        str | None,
        typer.Option(metavar="ODS", help="The practice, where the token covers several."),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="These are all records that the system has.")
    ] = False,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SYSTEM",
            help="With --full: a source system of the practice that sends no more; repeatable.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write every refusal and warning here, a line each."),
    ] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Begin with the first line, whatever was sent before.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON.")] = False,
) -> None:
    """Send records to ingest. After a break the same command goes on where it was.

    Ends with 0 when all was taken, 1 when some was refused, 2 for files that cannot be read, 3 when
    it is not finished and the same command can go on, 130 after Ctrl-C (likewise).
    """
    from peerview_tools.send import Options, run

    raise typer.Exit(
        run(
            Options(
                paths,
                url=to,
                token=token,
                practice=practice,
                full=full,
                without=without or [],
                report=report,
                anew=anew,
                as_json=as_json,
            )
        )
    )


app.command("send-extract")(send_extract)
app.add_typer(extracts, name="extracts")


@app.command()
def token(
    keys: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the development issuer keeps its key.")
    ],
    subject: Annotated[str, typer.Option(help="Whom the token stands for.")] = "developer",
    practice: Annotated[
        list[str] | None, typer.Option(metavar="ODS", help="A practice it covers; repeatable.")
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="What it may do; repeatable. All, when none is given.")
    ] = None,
    role: Annotated[
        list[str] | None, typer.Option(help="clinical, signatory or operator; repeatable.")
    ] = None,
    system: Annotated[str, typer.Option(help="The source system it sends from.")] = "demo",
    hours: Annotated[float, typer.Option(min=0.01, help="How long it holds.")] = 1.0,
) -> None:
    """A token for development, on standard output. Production mode refuses it."""
    from peerview_tools.token import run

    raise typer.Exit(
        run(
            keys,
            subject=subject,
            practices=practice or [],
            scopes=scope or [],
            roles=role or [],
            system=system,
            hours=hours,
        )
    )


@app.command()
def erase(
    practice: Annotated[str, typer.Option(metavar="ODS", help="The practice's ODS code.")],
    to: Annotated[
        str, typer.Option(envvar="PEERVIEW_INGEST", metavar="URL", help="Address of ingest.")
    ],
    token: Annotated[
        str, typer.Option(envvar="PEERVIEW_TOKEN", help="Bearer token; better in the variable.")
    ],
    patient_id: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="A patient's id in the source system; repeatable."),
    ] = None,
    patients: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Ids, one a line; - for standard input.")
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="The source system of the ids; the token's otherwise.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Erase without asking.")] = False,
) -> None:
    """Empty patients' records here for good; what is sent of them later is taken again."""
    from peerview_tools.erase import run

    raise typer.Exit(
        run(
            patient_id or [],
            patients,
            url=to,
            token=token,
            practice=practice,
            system=system,
            yes=yes,
        )
    )


rekeying = typer.Typer(help="New pseudonyms for a practice, step by step.", no_args_is_help=True)
app.add_typer(rekeying, name="rekey")

Ods = Annotated[str, typer.Option("--practice", metavar="ODS", help="The practice's ODS code.")]
Ingest = Annotated[
    str,
    typer.Option("--at", envvar="PEERVIEW_INGEST", metavar="URL", help="Address of ingest."),
]
OperatorToken = Annotated[
    str, typer.Option("--token", envvar="PEERVIEW_TOKEN", help="An operator's bearer token.")
]


@rekeying.command("begin")
def rekey_begin(practice: Ods, at: Ingest, token: OperatorToken) -> None:
    """Give a practice new keys: what it sends from now on comes under them."""
    from peerview_tools import rekey

    raise typer.Exit(rekey.begin(practice, url=at, token=token))


@rekeying.command("status")
def rekey_status(practice: Ods, at: Ingest, token: OperatorToken) -> None:
    """How many former patients were recognised, and what has become of them."""
    from peerview_tools import rekey

    raise typer.Exit(rekey.status(practice, url=at, token=token))


@rekeying.command("finish")
def rekey_finish(
    practice: Ods,
    at: Ingest,
    token: OperatorToken,
    empty_unmatched: Annotated[
        bool,
        typer.Option("--empty-unmatched", help="Empty former patients whom nothing matched."),
    ] = False,
) -> None:
    """Join former patients into the new ones, once everything has been sent again."""
    from peerview_tools import rekey

    raise typer.Exit(rekey.finish(practice, url=at, token=token, empty_unmatched=empty_unmatched))


@rekeying.command("cancel")
def rekey_cancel(practice: Ods, at: Ingest, token: OperatorToken) -> None:
    """Leave it, as long as nothing has come under the new keys."""
    from peerview_tools import rekey

    raise typer.Exit(rekey.cancel(practice, url=at, token=token))


app.add_typer(agreements, name="agreement")
app.add_typer(releases, name="release")

Share = Annotated[
    str, typer.Option("--at", envvar="PEERVIEW_SHARE", metavar="URL", help="Address of share.")
]
Token = Annotated[
    str, typer.Option("--token", envvar="PEERVIEW_TOKEN", help="A signatory's bearer token.")
]


audits = typer.Typer(
    help="Who saw whose figures, and whether the log is whole.", no_args_is_help=True
)
app.add_typer(audits, name="audit")


@audits.command("list")
def audit_list(
    practice: Annotated[str, typer.Argument(metavar="ODS", help="The practice's ODS code.")],
    at: Share,
    token: Annotated[
        str, typer.Option("--token", envvar="PEERVIEW_TOKEN", help="The practice's bearer token.")
    ],
    first: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day.")
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="The last day.")
    ] = None,
    viewer: Annotated[str | None, typer.Option(metavar="ODS", help="Who looked.")] = None,
    network: Annotated[str | None, typer.Option(metavar="ID", help="In which network.")] = None,
    indicator: Annotated[str | None, typer.Option(metavar="ID", help="At what.")] = None,
    newest: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 1000,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV, a line an indicator.")] = False,
) -> None:
    """Who saw a practice's released cells, under which agreement and clause, newest first."""
    from peerview_tools import audit

    wanted = {
        "from": first and first.date().isoformat(),
        "to": last and last.date().isoformat(),
        "viewer": viewer,
        "network": network,
        "indicator": indicator,
    }
    filters = {name: value for name, value in wanted.items() if value}
    raise typer.Exit(
        audit.run_list(practice, filters, newest=newest, as_csv=as_csv, url=at, token=token)
    )


@audits.command("verify")
def audit_verify(
    database: Annotated[
        str,
        typer.Option(envvar="PEERVIEW_SHARE_DATABASE", help="SQLAlchemy URL of share's database."),
    ],
    noted: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Heads that --note kept: all must still be there."),
    ] = None,
    note: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Add the heads of now to this file.")
    ] = None,
) -> None:
    """Every row of the audit against its hash. Exit 1: rows were changed, or are gone."""
    from peerview_tools import audit

    raise typer.Exit(audit.run_verify(database, noted=noted, note=note))


codes = typer.Typer(help="Code lists: check, import, show.", no_args_is_help=True)
app.add_typer(codes, name="codes")


@codes.command("import")
def codes_import(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.csv", help="Columns: cluster,system,code,origin.")
    ],
    name: Annotated[
        str | None, typer.Option(help="What to call it; the file's name otherwise.")
    ] = None,
    into: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="Where to write it.")
    ] = Path(),
    definitions: Definitions = None,
) -> None:
    """Check a whole code list, and write it under its version for PEERVIEW_CODE_LIST."""
    from peerview_tools.codes import run_import

    raise typer.Exit(run_import(file, name=name, into=into, definitions=definitions))


@codes.command("show")
def codes_show(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE.csv]", envvar="PEERVIEW_CODE_LIST", help="The shipped list otherwise."
        ),
    ] = None,
) -> None:
    """The clusters of a code list: counts, where codes come from, and what is a stand-in."""
    from peerview_tools.codes import run_show

    raise typer.Exit(run_show(file))


@app.command()
def indicators(
    definitions: Definitions = None,
    code_list: CodeListFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """The indicators, and which of them are for demonstration only."""
    from peerview_tools.codes import run_indicators

    raise typer.Exit(run_indicators(definitions, code_list, as_json=as_json))


@app.command()
def bench(
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="This measure alone; repeatable.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes, about two minutes; writes no page.")
    ] = False,
) -> None:
    """Measure what Peerview costs: one JSON line a measure, and the table docs/performance.md."""
    from peerview_tools.bench.run import run
    from peerview_tools.bench.table import PAGE

    raise typer.Exit(run(only or [], size="quick" if quick else "full", page=PAGE))


@app.command()
def attack(
    database: Annotated[
        str,
        typer.Option(
            envvar="PEERVIEW_SHARE_DATABASE", metavar="URL", help="Share's database (SQLAlchemy)."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Every find, as JSON.")] = False,
    last: Annotated[
        bool, typer.Option("--last", help="Read the report of last night; attack nothing.")
    ] = False,
) -> None:
    """Try to learn about few people from all that was ever released. Exit 1 on any find."""
    from peerview_tools.attack import run

    raise typer.Exit(run(database, as_json=as_json, last=last))


simulations = typer.Typer(
    help="What disclosure control costs, and what it keeps, simulated.", no_args_is_help=True
)
app.add_typer(simulations, name="simulate")
Seed = Annotated[int, typer.Option(help="Repeats a run.")]


@simulations.command("releases")
def simulate_releases(
    changes: Annotated[
        int, typer.Option(min=1, help="How many changes all practices have.")
    ] = 1_000_000,
    seed: Seed = 1,
    write: Annotated[
        bool, typer.Option("--write", help="Write the page docs/disclosure-price.md.")
    ] = False,
) -> None:
    """36 monthly cuts through the real gate and rules: how fresh, and does the attack find any?"""
    from peerview_tools.price.run import run

    raise typer.Exit(run(changes=changes, seed=seed, write=write))


@simulations.command("naming")
def simulate_naming(
    draws: Annotated[int, typer.Option(min=2, help="Draws of each size and indicator.")] = 200,
    seed: Seed = 1,
) -> None:
    """Can an outsider with last year's figures name practices in views that name nobody?"""
    from peerview_tools.price.run import run_naming

    raise typer.Exit(run_naming(draws=draws, seed=seed))


@app.command()
def rebuild(
    compare: Annotated[
        bool, typer.Option("--compare", help="Show every value that differs from the live one.")
    ] = False,
    switch: Annotated[
        bool, typer.Option("--switch", help="Compare, then publish the new values.")
    ] = False,
    definitions: Definitions = None,
    code_list: CodeListFile = None,
    practice: Annotated[
        list[str] | None, typer.Option(metavar="ODS", help="Only this one; repeatable.")
    ] = None,
    from_log: Annotated[
        bool,
        typer.Option("--from-log", help="From practice.changes alone (90 days), not the states."),
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for workers that are behind.")
    ] = 10.0,
) -> None:
    """Every practice's values once more, beside the live workers. Exit 0: equal, 1: different."""
    from peerview_tools.rebuild import run

    if not (compare or switch):
        raise typer.BadParameter("say --compare, or --switch")
    raise typer.Exit(
        run(
            definitions=definitions,
            code_list=code_list,
            practices=practice or [],
            from_log=from_log,
            publish=switch,
            wait_s=wait,
        )
    )


dlq = typer.Typer(
    help="Dead letters: what compute could not work off. Needs PEERVIEW_KAFKA.",
    no_args_is_help=True,
)
app.add_typer(dlq, name="dlq")

LetterPractice = Annotated[
    list[str] | None, typer.Option("--practice", metavar="ODS", help="Only of this; repeatable.")
]
LetterStage = Annotated[
    list[str] | None,
    typer.Option("--stage", help="decode, apply, rekey, tick or cut; repeatable."),
]
LetterSince = Annotated[
    datetime | None,
    typer.Option(
        "--since",
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
        metavar="TIME",
        help="Written at or after this, UTC: 2026-03-31, 2026-03-31T09:30.",
    ),
]


@dlq.command("list")
def dlq_list(
    practice: LetterPractice = None,
    stage: LetterStage = None,
    since: LetterSince = None,
    newest: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 200,
) -> None:
    """Dead letters: when, whose, why, and where they came from. No patients' data."""
    from peerview_tools import dlq as work

    try:
        choice = work.choice_of([], practice or [], stage or [], since)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    raise typer.Exit(work.run_list(choice, newest=newest))


@dlq.command("replay")
def dlq_replay(
    letters: Annotated[
        list[str] | None,
        typer.Argument(metavar="[LETTER]...", help="PARTITION:OFFSET, as in the list."),
    ] = None,
    practice: LetterPractice = None,
    stage: LetterStage = None,
    since: LetterSince = None,
    everything: Annotated[bool, typer.Option("--all", help="Every one that is there.")] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Send what cannot be decoded too, as it is.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent, send nothing.")
    ] = False,
) -> None:
    """Send dead letters to practice.changes again. Exit 1: some were not sent."""
    from peerview_tools import dlq as work

    try:
        choice = work.choice_of(letters or [], practice or [], stage or [], since)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if choice.everything != everything:
        raise typer.BadParameter("say which letters, or --all and nothing else")
    raise typer.Exit(work.run_replay(choice, raw=raw, dry=dry_run))


@app.command()
def docs(
    release: Annotated[
        bool, typer.Option(help="Also make the contracts of now the released ones.")
    ] = False,
) -> None:
    """Write what comes from the code: docs/settings.md, docs/metrics.md and docs/contracts."""
    from peerview_tools import docs as written
    from peerview_tools.contracts import files

    for path in written.write():
        typer.echo(f"written: {path}")
    if release:
        try:
            files.release(written.DOCS)
        except files.BreakingChangeError as error:
            typer.echo(f"this breaks who reads the released contracts:\n{error}", err=True)
            raise typer.Exit(1) from None


def main() -> None:
    """Entry point: a clear line for what a user can mend, a traceback for our own mistakes."""
    from peerview_tools.broker_ready import BrokerUnavailableError
    from peerview_tools.client import ServiceError

    try:
        app()
    except (ServiceError, BrokerUnavailableError) as error:
        typer.echo(f"peerview: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("peerview: stopped", err=True)
        sys.exit(130)
