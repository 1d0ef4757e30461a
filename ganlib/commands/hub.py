"""`hub`: find models on the Hugging Face Hub, fetch them, list what was fetched, and publish one's own."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ganlib.commands.flags import CHECKPOINTS, printable

if TYPE_CHECKING:
    from ganlib.models.hub import DownloadJob


def add_flags(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="hub_verb", metavar="search|list|forget|download|publish", required=True)
    search = verbs.add_parser("search", help="find models by name and tag", allow_abbrev=False)
    search.add_argument("text", nargs="?", default="", metavar="TEXT", help="a part of the name (default: any)")
    search.add_argument(
        "--tag", default="latent-atelier", metavar="TAG", help="such as stylegan2 or gan; '' is any (%(default)s)"
    )
    search.add_argument("--limit", type=int, default=24, metavar="N", help="at most (default: %(default)s)")
    verbs.add_parser("list", help="what was downloaded; needs no network", allow_abbrev=False)
    forget = verbs.add_parser("forget", help="delete a downloaded file; models made of it stay", allow_abbrev=False)
    forget.add_argument("title", metavar="NAME", help="as `hub list` shows it")
    fetch = verbs.add_parser("download", help="fetch one model, check it, put it into checkpoints/", allow_abbrev=False)
    fetch.add_argument("repo", metavar="OWNER/NAME", help="its name on the Hub")
    fetch.add_argument("--file", default="", metavar="F", help="file in it (default: the only one that can be meant)")
    fetch.add_argument("--revision", default="", metavar="R", help="branch, tag or commit (default: main)")
    fetch.add_argument("--dest", type=Path, default=CHECKPOINTS, metavar="DIR", help="folder (default: %(default)s)")
    fetch.add_argument("--name", default="", metavar="NAME", help="name of the new model (default: as on the Hub)")
    send = verbs.add_parser("publish", help="upload a model with its card and a contact sheet", allow_abbrev=False)
    send.add_argument("network", metavar="MODEL", help="a model file, or the name of one in checkpoints/")
    send.add_argument("repo", metavar="OWNER/NAME", help="its name on the Hub; made where there is none")
    send.add_argument("--public", action="store_true", help="everybody can see it (default: only you)")
    send.add_argument("--licence", default="", metavar="TEXT", help="for a model that has none, such as CC-BY-4.0")
    send.add_argument("--revision", default="", metavar="BRANCH", help="branch (default: main)")
    send.add_argument("--message", default="", metavar="TEXT", help="first line of the commit")
    send.add_argument("--text", default="", metavar="TEXT", help="words of your own for its page")
    send.add_argument("--device", default="auto", help="where the contact sheet is made (default: %(default)s)")
    send.add_argument("--dry-run", action="store_true", help="print the page, send nothing")


def execute(args: argparse.Namespace) -> int:
    verbs: dict[str, Callable[[argparse.Namespace], None]] = {
        "search": _search, "list": _list, "forget": _forget, "download": _download, "publish": _publish,
    }  # fmt: skip
    verbs[args.hub_verb](args)
    return 0


def _search(args: argparse.Namespace) -> None:
    from ganlib.models import hub

    found = hub.search(args.text, tag=args.tag, limit=args.limit)
    for model in found:
        flags = "".join(f", {word}" for word, holds in (("private", model.private), ("gated", model.gated)) if holds)
        print(printable(f"{model.id}  {model.downloads} downloads, {model.likes} likes, {model.updated}{flags}"))
        print(printable(f"    {model.rights}"))
        print(printable(f"    {', '.join(file.name for file in model.files[:6]) or 'no file that can be opened here'}"))
    if not found:
        print("nothing found; try another word, or --tag '' for any tag")


def _list(args: argparse.Namespace) -> None:
    from ganlib.models import hub

    entries = hub.list_cached()
    for entry in entries:
        print(printable(f"{entry.title}  {entry.filename}, {entry.bytes / 1e6:.1f} MB, {entry.fetched[:10]}"))
        print(printable(f"    {entry.licence or 'licence not known'}; {entry.path}"))
    if not entries:
        print(f"nothing was downloaded to {hub.downloads_folder()} yet")


def _forget(args: argparse.Namespace) -> None:
    from ganlib.base.errors import InputError
    from ganlib.models import hub

    found = [entry for entry in hub.list_cached() if args.title in (entry.title, entry.filename)]
    if not found:
        names = ", ".join(entry.title for entry in hub.list_cached())
        raise InputError(f"no downloaded file of {args.title!r}", f"there are: {names or 'none'}")
    for entry in found:
        hub.forget(entry)
        print(printable(f"deleted {entry.path}"))


def _download(args: argparse.Namespace) -> None:
    from ganlib.models import hub

    run_download(
        hub.DownloadJob(repo_id=args.repo, filename=args.file, revision=args.revision, dest=args.dest, name=args.name)
    )


def run_download(job: DownloadJob) -> None:
    """Do a download in the terminal. An interrupted one is continued by the same command."""
    from ganlib.models import hub
    from ganlib.runs import Stopped, TerminalReporter, signals_ask

    reporter = TerminalReporter()
    try:
        with signals_ask(reporter):
            hub.perform(job, reporter=reporter)
    except Stopped as stopped:
        raise KeyboardInterrupt(stopped.hint) from None


def _publish(args: argparse.Namespace) -> None:
    from ganlib.model_card import PublishJob, card_markdown, publish_model
    from ganlib.models import hub
    from ganlib.models.checkpoints import find_checkpoint, read_card
    from ganlib.runs import Stopped, TerminalReporter, signals_ask

    job = PublishJob(
        network=args.network, repo_id=args.repo, private=not args.public, revision=args.revision, licence=args.licence,
        message=args.message, text=args.text, device=args.device,
    ).validate()  # fmt: skip
    if args.dry_run:
        card = read_card(find_checkpoint(args.network, CHECKPOINTS))
        licence, _ = hub.settle_licence(card, args.licence)
        print(card_markdown(replace(card, licence=licence), repo_id=args.repo, text=args.text))
        return
    reporter = TerminalReporter()
    try:
        with signals_ask(reporter):
            publish_model(job, reporter=reporter)
    except Stopped as stopped:
        raise KeyboardInterrupt(stopped.message) from None
