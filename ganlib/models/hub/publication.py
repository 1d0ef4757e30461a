"""A model, its card and its contact sheet to the Hub, in one commit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ganlib.base.errors import HubError, InputError
from ganlib.models.checkpoints import SUFFIX, Checkpoint, change_card, load_generator, read_card
from ganlib.models.hub.client import (
    LOGIN_HINT,
    TIMEOUT_SECONDS,
    check_repo_id,
    endpoint,
    find_token,
    open_api,
    translate_errors,
)
from ganlib.models.rights import read_licence, rights_words, stricter
from ganlib.runs import Reporter, SilentReporter, Stopped

CARD_NAME = "README.md"
SHEET_NAME = "contact-sheet.png"
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,79}")
_NO_LICENCE = ("", "unknown", "other", "none")


@dataclass(frozen=True)
class Published:
    """Where a model lies now."""

    repo_id: str
    address: str
    """Its page, or that of its branch."""
    commit: str
    private: bool
    warnings: tuple[str, ...]
    """What its author should know, such as that its pictures may not be sold."""


def settle_licence(card: Checkpoint, licence: str = "") -> tuple[str, tuple[str, ...]]:
    """Return the licence under which a model may be published, and warnings. `licence` names one where it has none.

    Raises `InputError` where none is known, or where the given one allows more than the model's own."""
    own, given = card.licence.strip(), licence.strip()
    known = "" if own.lower() in _NO_LICENCE else own
    if not known and given.lower() in _NO_LICENCE:
        raise InputError(
            f"the licence of {card.name} is not known, so it cannot be published",
            "find it where the model comes from; if you made it, choose one, such as --licence CC-BY-4.0",
        )
    if known and given and stricter(known, given) != given and read_licence(known) != read_licence(given):
        raise InputError(
            f"{card.name} stands under {known}: it cannot be published as {given}, which allows more",
            "leave --licence out, or ask its author",
        )
    settled = given or known
    warnings = [] if read_licence(settled).commercial else [rights_words(settled)]
    for parent in card.parents:
        if stricter(settled, parent["licence"]) != settled and read_licence(parent["licence"]).commercial is False:
            warnings.append(f"it was blended from {parent['title'] or 'a model'} under {parent['licence']}")
    return settled, tuple(warnings)


def check_revision(revision: str) -> None:
    """Raise `InputError` where no branch can be called so."""
    if revision and (not _REVISION.fullmatch(revision) or ".." in revision or "//" in revision):
        raise InputError(f"{revision[:80]!r} is no name of a branch", "use letters, digits, '-', '_', '.' and '/'")


def publish(
    path: Path,
    repo_id: str,
    *,
    card: str,
    sheet: bytes,
    private: bool = True,
    revision: str | None = None,
    token: str | None = None,
    message: str = "",
    licence: str = "",
    reporter: Reporter | None = None,
) -> Published:
    """Upload a model file, its card in Markdown and its contact sheet as PNG, in one commit; return where it lies.

    The repository is made where there is none, and so is the branch `revision`. `licence` is written into the model's
    own card where that has none. Nothing goes to a public page while `private` is wished. The token comes from the
    argument, `HF_TOKEN` or `hf auth login`, and is written nowhere. Raises `HubError`, `InputError`, `Stopped`."""
    reporter = reporter or SilentReporter()
    repo_id = check_repo_id(repo_id)
    check_revision(revision or "")
    model = read_card(path)
    settled, warnings = settle_licence(model, licence)
    load_generator(model.path)  # a damaged file is not sent
    if find_token(token) is None:
        raise HubError(f"cannot publish {model.name}: there is no token", LOGIN_HINT)
    if settled != model.licence:
        model = change_card(model.path, licence=settled)
    total = model.bytes + len(sheet) + len(card.encode())
    reporter.progress(0, total, f"asking for {repo_id}")
    with translate_errors(f"publish {model.name} as {repo_id}", repo_id=repo_id, token=token, may_write=True):
        from huggingface_hub import CommitOperationAdd

        api = open_api(token)
        api.create_repo(repo_id, private=private, exist_ok=True, repo_type="model")
        is_private = bool(api.model_info(repo_id, timeout=TIMEOUT_SECONDS).private)
        if private and not is_private:
            raise HubError(
                f"{repo_id} is there already and is public: nothing was sent",
                "choose another name, or publish with --public",
            )
        if reporter.should_stop():
            raise Stopped("nothing was sent")
        if revision:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        reporter.progress(0, total, f"sending {total / 1e6:,.1f} MB to {repo_id}")
        files: dict[str, Path | bytes] = {f"{model.name}{SUFFIX}": model.path}
        files |= {CARD_NAME: card.encode(), SHEET_NAME: sheet}
        commit = api.create_commit(
            repo_id,
            [CommitOperationAdd(path_in_repo=name, path_or_fileobj=what) for name, what in files.items()],
            commit_message=" ".join(message.split())[:200] or f"{model.title}: model, card and contact sheet"[:200],
            revision=revision or None,
        )
    if not private and is_private:
        warnings = (*warnings, f"{repo_id} was private before and stays so: its page's settings change that")
    address = f"{endpoint()}/{repo_id}" + (f"/tree/{revision}" if revision else "")
    reporter.progress(total, total, address)
    return Published(repo_id, address, str(commit.oid), is_private, warnings)
