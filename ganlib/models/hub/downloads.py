"""From a page of the Hub, or a row of the catalogue, to a model of this studio."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganlib.base.errors import CheckpointError, HubError, InputError
from ganlib.base.filesystem import check_regular
from ganlib.base.options import Options, option
from ganlib.models import checkpoints, foreign
from ganlib.models.checkpoints import Checkpoint
from ganlib.models.foreign.safety import FILE_NAME, SafetyReport
from ganlib.models.hub.cache import Cached, downloads_folder, list_cached, now, place_for, plain_name, remember
from ganlib.models.hub.catalogue import Entry, find_entry
from ganlib.models.hub.client import check_repo_id, endpoint, find_token, translate_errors
from ganlib.models.hub.models import HubFile, HubModel, choose_file, look
from ganlib.models.hub.transfer import Wanted, check_room, fetch
from ganlib.models.rights import UNKNOWN, read_licence, stricter
from ganlib.runs import Reporter, SilentReporter, Stopped, free_name, replacing, write_json

CHECKPOINTS = Path("checkpoints")
SCHEMES = ("https",)
"""Of the catalogue's addresses; the Hub may also be one on this computer, when HF_ENDPOINT says so."""
_GENERIC = re.compile(r"(model|pytorch_model|generator|g_ema|ema|weights|checkpoint|final|network[-_].*|\d+)", re.I)


@dataclass(frozen=True)
class DownloadJob(Options):
    """A download as a job of the verb `download`. It holds no token: the worker finds it in the usual places."""

    verb = "hub download"

    repo_id: str = option("", "`owner/name` on the Hub; empty for a model of the catalogue")
    entry: str = option("", "Name in the catalogue; empty for a model of the Hub")
    filename: str = option("", "The file in the repository; empty where only one can be meant")
    revision: str = option("", "Branch, tag or commit; empty is the main branch")
    dest: Path = option(CHECKPOINTS, "Folder that the model goes to")
    name: str = option("", "Name of the new model; empty is one made from its page")

    def check(self) -> None:
        if bool(self.repo_id) == bool(self.entry):
            raise InputError("name a model of the Hub or one of the catalogue", "fill in repo_id or entry")
        if self.repo_id:
            check_repo_id(self.repo_id)
        else:
            find_entry(self.entry)
        _check_name(self.name)


def run_job(config: Mapping[str, Any], run_dir: Path, reporter: Reporter) -> None:
    """Do a job of the verb `download`: the safety report, `safety.json`, and the new model are its artefacts."""
    perform(DownloadJob.from_dict(config), report_dir=run_dir, reporter=reporter)


def perform(job: DownloadJob, *, report_dir: Path | None = None, reporter: Reporter | None = None) -> Checkpoint:
    """Do what a `DownloadJob` says and return the new model's card; raises as `download`."""
    reporter = reporter or SilentReporter()
    job.validate()
    if job.entry:
        card = fetch_catalogue(job.entry, job.dest, name=job.name, report_dir=report_dir, reporter=reporter)
    else:
        card = download(
            job.repo_id, job.filename or None, revision=job.revision or None, dest=job.dest, name=job.name,
            report_dir=report_dir, reporter=reporter,
        )  # fmt: skip
    reporter.artefact(card.path)
    return card


def download(
    repo_id: str,
    filename: str | None = None,
    *,
    revision: str | None = None,
    dest: Path = CHECKPOINTS,
    name: str = "",
    token: str | None = None,
    report_dir: Path | None = None,
    reporter: Reporter | None = None,
) -> Checkpoint:
    """Fetch one file of a model's repository, check it, make a model of it in the folder `dest`, and return its card.

    Nothing but the named file is fetched, and nothing in it is run. What was fetched once is not fetched again; without
    a network that copy is used. What the file asked for is written to `report_dir/safety.json`.
    Raises `HubError`, `CheckpointError` for a file of another kind, `Stopped`."""
    reporter = reporter or SilentReporter()
    repo_id = check_repo_id(repo_id)
    _check_name(name)
    try:
        model = look(repo_id, revision=revision, token=token)
    except HubError:
        known = _find_cached(repo_id, filename, revision)
        if known is None:
            raise
        reporter.log(f"the Hub cannot be asked: the copy of {known.fetched[:10]} is used")
        return _make(known, dest, name, report_dir, reporter)
    file = choose_file(model, filename)
    fetched = _fetch_from_hub(model, file, revision, token, dest, reporter)
    return _make(fetched, dest, name, report_dir, reporter)


def fetch_catalogue(
    entry: Entry | str,
    dest: Path = CHECKPOINTS,
    *,
    name: str = "",
    report_dir: Path | None = None,
    reporter: Reporter | None = None,
) -> Checkpoint:
    """Fetch a model of the catalogue and import it with its licence and credit; return its card. Raises as `download`.

    The checksum is held against the catalogue's where that has one."""
    reporter = reporter or SilentReporter()
    row = find_entry(entry) if isinstance(entry, str) else entry
    _check_name(name)
    filename = row.address.partition("?")[0].rpartition("/")[2] or row.name
    path = place_for(row.name, filename, row.address)
    known = next((old for old in list_cached() if old.path == path), None)
    if known is None or (row.sha256 and known.sha256 != row.sha256):
        check_room(dest, row.bytes or 0, f"the model made of {row.title}")
        wanted = Wanted(row.address, row.title, bytes=row.bytes, sha256=row.sha256 or "", schemes=SCHEMES)
        sha256 = fetch(wanted, path, reporter=reporter)
        known = remember(
            Cached(
                repo_id="", entry=row.name, filename=filename, revision="", commit="", bytes=path.stat().st_size,
                sha256=sha256, licence=row.licence, data=row.credit, address=row.address, fetched=now(), path=path,
            )
        )  # fmt: skip
    return _make(known, dest, name, report_dir, reporter, title=row.title)


def _fetch_from_hub(
    model: HubModel, file: HubFile, revision: str | None, token: str | None, dest: Path, reporter: Reporter
) -> Cached:
    """The downloaded file: the one that is there already where it is the same version."""
    path = place_for(model.id, file.name, file.sha256 or file.git_sha1 or model.commit)
    for old in list_cached():
        if old.path == path and file.sha256 in ("", old.sha256):
            return old
    check_room(dest, file.bytes or 0, f"the model {model.id}")
    with translate_errors(f"fetch {file.name} of {model.id}", repo_id=model.id, token=token):
        import huggingface_hub

        secret, version = find_token(token), model.commit or revision
        address = huggingface_hub.hf_hub_url(model.id, file.name, revision=version, endpoint=endpoint())
    wanted = Wanted(
        address, f"{model.id}/{file.name}", bytes=file.bytes, sha256=file.sha256, git_sha1=file.git_sha1,
        repo_id=model.id, schemes=("https", "http") if endpoint().startswith("http:") else ("https",),
        headers={"Authorization": f"Bearer {secret}"} if secret else None,
    )  # fmt: skip
    reporter.log(f"{model.id}: {model.rights}")
    sha256 = fetch(wanted, path, reporter=reporter)
    page = f"{endpoint()}/{model.id}/blob/{model.commit or 'main'}/{file.name}"
    data = f"data sets of the Hub: {', '.join(model.datasets)}" if model.datasets else ""
    return remember(
        Cached(
            repo_id=model.id, entry="", filename=file.name, revision=_branch(revision), commit=model.commit,
            bytes=path.stat().st_size, sha256=sha256, licence=model.licence, data=data, address=page, fetched=now(),
            path=path,
        )
    )  # fmt: skip


def _branch(revision: str | None) -> str:
    return "" if revision in (None, "main") else str(revision)


def _find_cached(repo_id: str, filename: str | None, revision: str | None) -> Cached | None:
    """The newest copy of what is asked for, if any."""
    for old in list_cached():
        same = old.repo_id == repo_id and filename in (None, old.filename)
        if same and _branch(revision) in (old.revision, old.commit):
            return old
    return None


def _make(
    source: Cached, dest: Path, name: str, report_dir: Path | None, reporter: Reporter, *, title: str = ""
) -> Checkpoint:
    """A model in the folder `dest` of a downloaded file: a link to it, or an import; the one that is there already."""
    if reporter.should_stop():
        raise Stopped("the download was stopped", "start it again: it goes on from here")
    dest = Path(dest)
    is_own = source.path.suffix == checkpoints.SUFFIX
    if is_own:
        digest = checkpoints.read_card(source.path).digest
        checkpoints.load_generator(source.path)  # holds the tensors against the card's own digest
    there, _ = checkpoints.list_checkpoints(dest) if dest.is_dir() else ([], [])
    for card in there:
        if (card.digest == digest) if is_own else (card.source == source.address):
            reporter.log(f"{card.path} is this model already")
            return card
    path = _free_path(dest, name, source)
    reporter.log(f"reading {source.filename}; nothing in it is run")
    if is_own:
        notes = ("a model of this studio: it is taken as it is",)
        _report(SafetyReport(source.filename, source.bytes, True, (), notes), report_dir, reporter)
    else:
        model, report = foreign.inspect(source.path)
        _report(report, report_dir, reporter)
        if model is None:
            raise CheckpointError(report.reason, report.hint)
        dest.mkdir(parents=True, exist_ok=True)
        card = foreign.save_foreign(
            model, path, title=title or source.title, licence=source.licence, source=source.address
        )
        return checkpoints.change_card(path, data=source.data) if source.data and not card.data else card
    try:
        dest.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            _link(source.path, temporary)
    except OSError as error:
        hint = "check the folder, and the space on the disk"
        raise HubError(f"{path} cannot be written: {error.strerror}", hint) from error
    card = checkpoints.read_card(path)
    licence = _joined_licence(card.licence, source.licence)
    return checkpoints.change_card(path, licence=licence) if licence != card.licence else card


def _report(report: SafetyReport, folder: Path | None, reporter: Reporter) -> None:
    if folder is not None:
        write_json(folder / FILE_NAME, report.to_dict())
        reporter.artefact(folder / FILE_NAME)
    reporter.log(report.verdict)


def _joined_licence(own: str, page: str) -> str:
    """The stricter of what a model's card and its page say; what is said, where only one of them says it."""
    said = [text for text in (own, page) if text.strip() and read_licence(text) is not UNKNOWN]
    return stricter(*said) if said else own or page


def _link(source: Path, path: Path) -> None:
    """Give a file a second name, or copy it where that cannot be; models are replaced and never written into."""
    check_regular(source)
    try:
        os.link(source, path)
    except OSError:
        shutil.copyfile(source, path)
        path.chmod(0o644)


def _check_name(name: str) -> None:
    if name and plain_name(name) != name:
        raise InputError(f"{name[:80]!r} is no name of a model", "use letters, digits, '-', '_' and '.'; 60 at most")


def _free_path(dest: Path, name: str, source: Cached) -> Path:
    """Where the new model goes; raises `HubError` where a name that was asked for is taken."""
    if source.path.is_relative_to(dest.absolute()):
        raise HubError(f"{dest} holds {downloads_folder()}", "choose another folder for the model")
    stem = Path(source.filename).stem
    page = source.entry or (source.repo_id.rpartition("/")[2] if _GENERIC.fullmatch(stem) else stem)
    wanted = plain_name(name or page)
    path = dest / f"{wanted}{checkpoints.SUFFIX}"
    if name and path.exists():
        problem = f"there is a model {wanted} in {dest} already"
        raise HubError(problem, "choose another name, or remove that model first")
    free = free_name(wanted, lambda name: (dest / f"{name}{checkpoints.SUFFIX}").exists())
    return dest / f"{free}{checkpoints.SUFFIX}"
