"""The words of `peerview send-extract` and `peerview extracts`; the work is in `extract`."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

Ingest = Annotated[
    str, typer.Option("--to", envvar="PEERVIEW_INGEST", metavar="URL", help="Address of ingest.")
]
Token = Annotated[
    str,
    typer.Option("--token", envvar="PEERVIEW_TOKEN", help="Bearer token; better in the variable."),
]
Practice = Annotated[
    str | None, typer.Option(metavar="ODS", help="The practice, where the token covers several.")
]
Day = Annotated[
    datetime, typer.Argument(formats=["%Y-%m-%d"], metavar="DATE", help="The extract's day.")
]
Source = Annotated[
    str | None, typer.Option(help="The source system, where extracts of several are held.")
]

extracts = typer.Typer(
    help="Daily extracts: what came, what is held, and mappings.", no_args_is_help=True
)


def send_extract(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="The day's files.")
    ],
    to: Ingest,
    token: Token,
    date: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="The day they are of.")
    ],
    mapping: Annotated[
        str,
        typer.Option(metavar="FILE.yaml|NAME", help="What is what in them; see docs/extracts.md."),
    ],
    full: Annotated[
        bool,
        typer.Option("--full/--delta", help="All of the practice's records, or what has changed."),
    ],
    practice: Practice = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="If it is held, confirm it without asking.")
    ] = False,
) -> None:
    """Send a supplier's daily files to ingest, with progress; say what was taken or is held."""
    from peerview_tools.extract import send

    raise typer.Exit(
        send(
            folder,
            day=date.date(),
            mapping=mapping,
            mode="full" if full else "delta",
            url=to,
            token=token,
            practice=practice,
            confirm=confirm,
        )
    )


@extracts.command("list")
def list_(
    to: Ingest,
    token: Token,
    practice: Practice = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """The practice's extracts, the newest first, and which of them are held."""
    from peerview_tools.extract import show

    raise typer.Exit(show(url=to, token=token, practice=practice, as_json=as_json))


@extracts.command()
def confirm(
    day: Day, to: Ingest, token: Token, practice: Practice = None, source: Source = None
) -> None:
    """Let a held extract delete what it does not have. Needs the scope ingest:confirm."""
    from peerview_tools.extract import decide

    raise typer.Exit(
        decide(day.date(), confirm=True, source=source, url=to, token=token, practice=practice)
    )


@extracts.command()
def reject(
    day: Day, to: Ingest, token: Token, practice: Practice = None, source: Source = None
) -> None:
    """Let a held extract delete nothing. Needs the scope ingest:confirm."""
    from peerview_tools.extract import decide

    raise typer.Exit(
        decide(day.date(), confirm=False, source=source, url=to, token=token, practice=practice)
    )


@extracts.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.yaml...", help="Mapping files.")],
) -> None:
    """Check mapping files: each mistake with its file, line and field."""
    from peerview_tools.extract import check as run

    raise typer.Exit(run(files))


@extracts.command()
def example(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write the files.")],
    date: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="The day they are of.")
    ],
    supplier: Annotated[str, typer.Option(help="fieldgate or linden.")] = "fieldgate",
    practice: Annotated[str, typer.Option(metavar="ODS", help="A made-up practice.")] = "A99001",
) -> None:
    """Write a made-up practice's extract, as one of the two made-up suppliers would."""
    from peerview_tools.extract import example as run

    raise typer.Exit(run(folder, supplier=supplier, practice=practice, day=date.date()))
