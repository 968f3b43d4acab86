"""The words of `peerview agreement`; the work is in `agreement` and, without a service, in
`agreement_files`."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

agreements = typer.Typer(
    help="Agreements: write, check and compare them, and act on them over share's HTTP interface.",
    no_args_is_help=True,
)

Share = Annotated[
    str,
    typer.Option(
        "--share", "--at", envvar="PEERVIEW_SHARE", metavar="URL", help="Share's address."
    ),
]
OnlyShare = Annotated[
    str, typer.Option("--share", envvar="PEERVIEW_SHARE", metavar="URL", help="Share's address.")
]
Token = Annotated[
    str, typer.Option("--token", envvar="PEERVIEW_TOKEN", help="A signatory's bearer token.")
]
AgreementId = Annotated[str, typer.Argument(metavar="ID", help="The agreement's id.")]
File = Annotated[Path, typer.Argument(help="The agreement as JSON.", dir_okay=False)]
Key = Annotated[
    Path | None,
    typer.Option(
        envvar="PEERVIEW_SIGNING_KEY", dir_okay=False, metavar="FILE.pem",
        help="The practice's Ed25519 private key, where it has registered one.",
    ),
]  # fmt: skip
Yes = Annotated[bool, typer.Option("--yes", help="Without asking.")]
Ods = Annotated[str, typer.Option(metavar="ODS", help="The practice's code.")]


@agreements.command("draft")
def draft(
    file: Annotated[Path, typer.Argument(help="Where to write it.", dir_okay=False)],
    party: Annotated[
        list[str],
        typer.Option(metavar="CODE=NAME", help="A practice that takes part; give two or more."),
    ],
    network: Annotated[str, typer.Option(metavar="ID", help="The network's id.")],
    identity: Annotated[
        str | None, typer.Option("--id", help="The agreement's id; the network's otherwise.")
    ] = None,
    title: Annotated[str, typer.Option(help="What people call it.")] = "Learning together",
    indicator: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="What is shared; everything otherwise.")
    ] = None,
    mode: Annotated[
        str, typer.Option(help="named, anonymous, distribution, none or prohibit.")
    ] = "named",
    valid_from: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Its first day; today otherwise.")
    ] = None,
) -> None:
    """Write a document with every clause, to be edited. Nothing is sent."""
    from peerview_tools import agreement_files

    raise typer.Exit(
        agreement_files.draft(
            file, parties=party, network=network, identity=identity, title=title,
            indicators=indicator, mode=mode,
            valid_from=None if valid_from is None else valid_from.date(),
        )
    )  # fmt: skip


@agreements.command("check")
def check(file: File) -> None:
    """Everything that is wrong with a document, each fault by its clause. Nothing is sent."""
    from peerview_tools import agreement_files

    raise typer.Exit(agreement_files.check(file))


@agreements.command("diff")
def diff(
    old: Annotated[str, typer.Argument(help="A file; or an agreement's id, with two versions.")],
    new: Annotated[str | None, typer.Argument(help="The other file.")] = None,
    versions: Annotated[
        tuple[int, int] | None, typer.Option(metavar="OLD NEW", help="Two versions of the id.")
    ] = None,
    practice: Annotated[
        str | None, typer.Option(metavar="ODS", help="Say it to this practice, for files.")
    ] = None,
    share: Annotated[str | None, typer.Option("--share", "--at", envvar="PEERVIEW_SHARE")] = None,
    token: Annotated[str | None, typer.Option("--token", envvar="PEERVIEW_TOKEN")] = None,
) -> None:
    """What another text would change, in plain words: of two files, or of two versions."""
    from peerview_tools import agreement, agreement_files

    if new is not None:
        raise typer.Exit(agreement_files.diff(Path(old), Path(new), practice=practice))
    if versions is None or share is None or token is None:
        typer.echo(
            "peerview agreement diff: two files, or an id with --versions OLD NEW, --share and "
            "--token", err=True,
        )  # fmt: skip
        raise typer.Exit(2)
    raise typer.Exit(agreement.diff(old, *versions, url=share, token=token))


@agreements.command("list")
def list_(at: Share, token: Token) -> None:
    """Your practice's agreements and where each version stands."""
    from peerview_tools import agreement

    raise typer.Exit(agreement.listed(url=at, token=token))


@agreements.command("history")
def history(identity: AgreementId, at: Share, token: Token) -> None:
    """Everything that happened to an agreement, oldest first: when, who and what."""
    from peerview_tools import agreement

    raise typer.Exit(agreement.history(identity, url=at, token=token))


@agreements.command("create")
def create(file: File, at: Share, token: Token) -> None:
    """Propose an agreement, or its next version. Nothing is shared before all have signed."""
    from peerview_tools import agreement

    raise typer.Exit(agreement.create(file, url=at, token=token))


@agreements.command("edit")
def edit(
    file: File,
    at: Share,
    token: Token,
    edition: Annotated[
        str | None,
        typer.Option(
            metavar="N.M",
            help="The draft that the file was made from, as `show` says it: another "
            "one is not changed. Without it you are shown what would change, and asked.",
        ),
    ] = None,
    yes: Yes = False,
) -> None:
    """Give a draft another text. Who signed other terms signs again."""
    from peerview_tools import agreement

    raise typer.Exit(agreement.edit(file, edition=edition, yes=yes, url=at, token=token))


@agreements.command("sign")
def sign(identity: AgreementId, at: Share, token: Token, yes: Yes = False, key: Key = None) -> None:
    """Read an agreement's terms, and sign them by their hash."""
    from peerview_tools import agreement

    raise typer.Exit(agreement.sign(identity, url=at, token=token, yes=yes, key=key))


@agreements.command("join")
def join(
    identity: AgreementId,
    at: Share,
    token: Token,
    terms: Annotated[
        str, typer.Option(metavar="SHA256", help="The hash of the terms, as a party sent it.")
    ],
    name: Annotated[str, typer.Option(help="The practice's name.")],
    role: Annotated[
        str, typer.Option(help="controller, joint-controller or recipient.")
    ] = "controller",
    yes: Yes = False,
    key: Key = None,
) -> None:
    """Read the terms that you were invited to, sign them, and ask to be admitted."""
    from peerview_tools import agreement

    raise typer.Exit(
        agreement.join(identity, terms, name=name, role=role, url=at, token=token, yes=yes, key=key)
    )


@agreements.command("take-back")
def take_back(identity: AgreementId, at: Share, token: Token) -> None:
    """Do not join after all: for a practice that has asked and was not admitted yet."""
    from peerview_tools import agreement

    raise typer.Exit(agreement.take_back(identity, url=at, token=token))


@agreements.command("admit")
def admit(identity: AgreementId, practice: Ods, at: Share, token: Token, key: Key = None) -> None:
    """Agree to a practice that asks to join."""
    from peerview_tools import agreement

    raise typer.Exit(agreement.admit(identity, practice, url=at, token=token, key=key))


@agreements.command("suspend")
def suspend(identity: AgreementId, at: Share, token: Token) -> None:
    """Nobody sees anybody under it until your practice resumes it."""
    from peerview_tools import agreement

    raise typer.Exit(agreement.act(identity, "suspend", url=at, token=token))


@agreements.command("resume")
def resume(identity: AgreementId, at: Share, token: Token) -> None:
    """End your practice's suspension."""
    from peerview_tools import agreement

    raise typer.Exit(agreement.act(identity, "resume", url=at, token=token))


@agreements.command("withdraw")
def withdraw(identity: AgreementId, at: Share, token: Token, yes: Yes = False) -> None:
    """Withdraw: final for the practice, and in force everywhere within 5 seconds."""
    from peerview_tools import agreement

    raise typer.Exit(agreement.withdraw(identity, url=at, token=token, yes=yes))


@agreements.command("limit")
def limit(
    identity: AgreementId,
    at: Share,
    token: Token,
    indicator: Annotated[
        list[str] | None,
        typer.Option(
            metavar="INDICATOR=LEVEL",
            help="Of one indicator; repeatable. INDICATOR= takes it back.",
        ),
    ] = None,
    mode: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="Of all that have no level of their own.")
    ] = None,
) -> None:
    """Allow less than the agreement does: named (as the terms say), anonymous, distribution, none
    or prohibit. What is not named here stays; without options it says what holds."""
    from peerview_tools import agreement

    raise typer.Exit(agreement.limit(identity, indicator or [], mode, url=at, token=token))


@agreements.command("succeed")
def succeed(
    former: Annotated[
        list[str], typer.Option("--from", metavar="ODS", help="Who is succeeded; repeatable.")
    ],
    successor: Annotated[str, typer.Option("--to", metavar="ODS", help="Who succeeds them.")],
    day: Annotated[
        datetime, typer.Option("--date", formats=["%Y-%m-%d"], help="Since when; not ahead.")
    ],
    at: Share,
    token: Token,
    yes: Yes = False,
) -> None:
    """A merger: the former leave all their agreements, for good. Operator: release:operate."""
    from peerview_tools import agreement

    raise typer.Exit(agreement.succeed(former, successor, day.date(), url=at, token=token, yes=yes))


@agreements.command("explain")
def explain(
    network: Annotated[str, typer.Option(metavar="ID")],
    viewer: Annotated[str, typer.Option(metavar="ODS", help="Who looks.")],
    subject: Annotated[str, typer.Option(metavar="ODS", help="Whose figure it is.")],
    indicator: Annotated[str, typer.Option(metavar="ID")],
    share: OnlyShare,
    token: Token,
    at: Annotated[
        str | None,
        typer.Option(metavar="MOMENT", help="Such as 2026-04-01T12:00:00Z; now otherwise."),
    ] = None,
) -> None:
    """Whether a viewer may see a figure, or could at a moment, and the clause that decided."""
    from peerview_tools import agreement

    question = {"viewer": viewer, "subject": subject, "indicator": indicator}
    raise typer.Exit(agreement.explain(network, question, moment=at, url=share, token=token))


@agreements.command("export")
def export(
    identity: AgreementId,
    at: Share,
    token: Token,
    version: Annotated[int | None, typer.Option(min=1, help="The newest otherwise.")] = None,
) -> None:
    """The agreement as an ODRL 2.2 policy, in JSON-LD."""
    from peerview_tools import agreement

    raise typer.Exit(agreement.export(identity, version, url=at, token=token))


@agreements.command("show")
def show(
    identity: AgreementId,
    at: Share,
    token: Token,
    version: Annotated[int | None, typer.Option(min=1, help="The newest otherwise.")] = None,
    document: Annotated[
        bool, typer.Option("--document", help="The document alone, to be edited.")
    ] = False,
) -> None:
    """An agreement with its state and signatures, as JSON."""
    from peerview_tools import agreement

    raise typer.Exit(agreement.show(identity, version, document_only=document, url=at, token=token))


@agreements.command("key")
def key(
    file: Annotated[Path, typer.Argument(metavar="FILE.pem", dir_okay=False)],
    practice: Ods,
    at: Share,
    token: Token,
    former: Annotated[
        Path | None,
        typer.Option(dir_okay=False, metavar="FILE.pem", help="The key that it replaces."),
    ] = None,
) -> None:
    """Register an Ed25519 key, made in FILE if there is none: nothing less is accepted then."""
    from peerview_tools import agreement

    raise typer.Exit(agreement.register_key(file, practice, former=former, url=at, token=token))


@agreements.command("revoke-key")
def revoke_key(
    practice: Ods,
    reason: Annotated[str, typer.Option(help="Why; all that are told can read it.")],
    at: Share,
    token: Token,
) -> None:
    """Ask that a practice's lost key be revoked, days from now. Operator: scope keys:revoke."""
    from peerview_tools import agreement

    raise typer.Exit(agreement.revoke_key(practice, reason, url=at, token=token))


@agreements.command("keep-key")
def keep_key(
    practice: Ods,
    reason: Annotated[str, typer.Option(help="Why; all that are told can read it.")],
    at: Share,
    token: Token,
    key: Key = None,
) -> None:
    """Stop a revocation that waits: the practice objects, or the operator calls it off."""
    from peerview_tools import agreement

    raise typer.Exit(agreement.keep_key(practice, reason, key=key, url=at, token=token))


@agreements.command("signature")
def signature(
    file: Annotated[Path, typer.Argument(metavar="FILE.pem", dir_okay=False)],
    message: Annotated[
        str | None, typer.Argument(help="What is signed; a line of standard input otherwise.")
    ] = None,
) -> None:
    """Sign what a page asks a practice with a key to sign, in base64. Nothing is sent."""
    from peerview_tools import signing_key

    if message is None:
        message = typer.get_text_stream("stdin").readline()
    raise typer.Exit(signing_key.signature(file, message))
