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
) -> None:
    """Counts of a practice's indicators out of files: no broker, the services' own core."""
    from peerview_tools.evaluate import run

    day: date = as_of.date()
    raise typer.Exit(
        run(files, practice=practice, day=day, patients=patients, register_all=register_all)
    )


@app.command()
def send(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="FHIR NDJSON or Bundles; also .gz and .zst."),
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
) -> None:
    """Send records to ingest, with progress, and say what was accepted and what was not."""
    from peerview_tools.send import run

    raise typer.Exit(run(files, url=to, token=token, practice=practice))


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
