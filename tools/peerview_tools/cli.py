"""The `peerview` command. Each command's work is in a module of its own, imported when used."""

import sys
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

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


@app.command()
def evaluate(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="FHIR NDJSON or Bundles; also .gz and .zst."),
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


agreements = typer.Typer(help="Agreements, over share's HTTP interface.", no_args_is_help=True)
app.add_typer(agreements, name="agreement")

Share = Annotated[
    str, typer.Option("--at", envvar="PEERVIEW_SHARE", metavar="URL", help="Address of share.")
]
Token = Annotated[
    str, typer.Option("--token", envvar="PEERVIEW_TOKEN", help="A signatory's bearer token.")
]
AgreementId = Annotated[str, typer.Argument(metavar="ID", help="The agreement's id.")]


@agreements.command("create")
def agreement_create(
    file: Annotated[Path, typer.Argument(help="The agreement as JSON.", dir_okay=False)],
    at: Share,
    token: Token,
) -> None:
    """Propose an agreement. Nothing is shared before all parties have signed."""
    from peerview_tools import agreement

    raise typer.Exit(agreement.create(file, url=at, token=token))


@agreements.command("sign")
def agreement_sign(
    identity: AgreementId,
    at: Share,
    token: Token,
    yes: Annotated[bool, typer.Option("--yes", help="Sign without asking.")] = False,
) -> None:
    """Read an agreement's terms, and sign them by their hash."""
    from peerview_tools import agreement

    raise typer.Exit(agreement.sign(identity, url=at, token=token, yes=yes))


@agreements.command("withdraw")
def agreement_withdraw(
    identity: AgreementId,
    at: Share,
    token: Token,
    yes: Annotated[bool, typer.Option("--yes", help="Withdraw without asking.")] = False,
) -> None:
    """Withdraw: final for the practice, and in force everywhere within 5 seconds."""
    from peerview_tools import agreement

    raise typer.Exit(agreement.withdraw(identity, url=at, token=token, yes=yes))


@agreements.command("show")
def agreement_show(identity: AgreementId, at: Share, token: Token) -> None:
    """An agreement with its state and signatures, as JSON."""
    from peerview_tools import agreement

    raise typer.Exit(agreement.show(identity, url=at, token=token))


codes = typer.Typer(help="Code lists: check, import, show.", no_args_is_help=True)
app.add_typer(codes, name="codes")

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


@app.command()
def docs() -> None:
    """Write the pages that come from the code: docs/settings.md and docs/metrics.md."""
    from peerview_tools.docs import write

    for path in write():
        typer.echo(f"written: {path}")


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
