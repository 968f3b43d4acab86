"""`peerview release ...`: the commands; their work is in `release.py`, imported when used."""

from typing import Annotated

import typer

releases = typer.Typer(
    help="Release cuts, and what a practice sees and decides before peers do.",
    no_args_is_help=True,
)

Share = Annotated[
    str, typer.Option("--at", envvar="PEERVIEW_SHARE", metavar="URL", help="Address of share.")
]
Token = Annotated[
    str, typer.Option("--token", envvar="PEERVIEW_TOKEN", help="Bearer token; see each command.")
]
ReleasePractice = Annotated[
    str, typer.Option("--practice", metavar="ODS", help="Whose figures; the token must cover it.")
]
IndicatorName = Annotated[str, typer.Argument(metavar="INDICATOR", help="The indicator's id.")]


@releases.command("cut")
def release_cut(at: Share, token: Token) -> None:
    """Ask for a release cut now. For the operator: scope release:operate."""
    from peerview_tools import release

    raise typer.Exit(release.cut(url=at, token=token))


@releases.command("list")
def release_list(at: Share, token: Token) -> None:
    """The last epochs and where they stand. For the operator."""
    from peerview_tools import release

    raise typer.Exit(release.show(url=at, token=token))


@releases.command("dry-run")
def release_dry_run(
    practice: ReleasePractice,
    at: Share,
    token: Token,
    counts: Annotated[bool, typer.Option("--counts", help="Add the exact counts.")] = False,
) -> None:
    """What would move of the practice's figures at the cut that is open or in preview, and why.

    For the practice alone: no peer ever sees counts or reasons.
    """
    from peerview_tools import release

    raise typer.Exit(release.dry_run(practice, url=at, token=token, counts=counts))


@releases.command("hold")
def release_hold(
    indicator: IndicatorName,
    practice: ReleasePractice,
    at: Share,
    token: Token,
    note: Annotated[str, typer.Option(help="Why, for the practice's own record.")] = "",
) -> None:
    """Do not release this figure at the epoch in preview. Role signatory."""
    from peerview_tools import release

    raise typer.Exit(release.hold(practice, indicator, note, url=at, token=token))


@releases.command("confirm")
def release_confirm(
    indicator: IndicatorName, practice: ReleasePractice, at: Share, token: Token
) -> None:
    """The figure is right: end what holds it, a jump or a hold of one's own. Role signatory."""
    from peerview_tools import release

    raise typer.Exit(release.confirm(practice, indicator, url=at, token=token))


@releases.command("retract")
def release_retract(
    practice: ReleasePractice,
    epoch: Annotated[int, typer.Option(min=1, help="At which the wrong figure was released.")],
    reason: Annotated[str, typer.Option(help="What was wrong; kept with the retraction.")],
    at: Share,
    token: Token,
    indicator: Annotated[
        list[str] | None,
        typer.Option(metavar="INDICATOR", help="Only this; repeatable. All, when none is given."),
    ] = None,
) -> None:
    """Take a wrong release back, at once. For the operator, or a signatory of the practice."""
    from peerview_tools import release

    raise typer.Exit(release.retract(practice, epoch, indicator or [], reason, url=at, token=token))
