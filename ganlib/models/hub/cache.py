"""What was downloaded, listed without a network: one folder per file, with `entry.json` beside it."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ganlib.base.errors import HubError
from ganlib.base.workspace import cache_root
from ganlib.runs import write_json
from ganlib.runs.files import read_json

ENTRY = "entry.json"


@dataclass(frozen=True)
class Cached:
    """A downloaded file as it came, and what was said about it then."""

    repo_id: str
    """`owner/name` on the Hub; empty for a file of the catalogue."""
    entry: str
    """Name in the catalogue; empty for a file of the Hub."""
    filename: str
    revision: str
    """The branch or tag that was asked for; empty is the main one."""
    commit: str
    bytes: int
    sha256: str
    licence: str
    """As stated on its page."""
    data: str
    """The training data, as far as its page says it."""
    address: str
    """Where it came from; what the model's card gets as its source."""
    fetched: str
    """ISO 8601 time in UTC."""
    path: Path = Path()
    """The file; not stored, because folders move."""

    @property
    def title(self) -> str:
        """What to call it."""
        return self.repo_id or self.entry


def downloads_folder() -> Path:
    """Where downloaded files lie: `hub` in `workspace.cache_root`. Not created here."""
    return cache_root() / "hub"


def place_for(title: str, filename: str, version: str) -> Path:
    """Return the path for a file; names of strangers become letters, digits and a digest."""
    key = hashlib.sha256(f"{title}\0{filename}\0{version}".encode()).hexdigest()[:12]
    suffix = Path(filename).suffix
    return downloads_folder() / f"{plain_name(title)}-{key}" / f"{plain_name(Path(filename).stem)}{suffix}"


def plain_name(text: str) -> str:
    """Return letters, digits, `-`, `_` and `.` of a text, 60 at most, as a part of a path; never empty."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:60].strip("-._") or "model"


def remember(cached: Cached) -> Cached:
    """Write the entry beside its file and return it."""
    entry = {name: value for name, value in asdict(cached).items() if name != "path"}
    write_json(cached.path.parent / ENTRY, entry | {"file": cached.path.name})
    return cached


def now() -> str:
    """The time as entries have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def list_cached() -> list[Cached]:
    """Return what was downloaded, newest first; asks nobody. Damaged entries are left out."""
    root = downloads_folder()
    found = [_read(path) for path in sorted(root.glob(f"*/{ENTRY}"))] if root.is_dir() else []
    return sorted((entry for entry in found if entry is not None), key=lambda entry: entry.fetched, reverse=True)


def forget(entry: Cached) -> None:
    """Delete a downloaded file; models made of it stay. Raises `HubError` where it is none of ours."""
    folder = entry.path.parent
    if folder.parent != downloads_folder() or not (folder / ENTRY).is_file():
        raise HubError(f"{entry.path} is no downloaded file", "see `python -m ganlib hub list`")
    shutil.rmtree(folder)


def _read(path: Path) -> Cached | None:
    try:
        value: Any = read_json(path)
    except (OSError, ValueError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("file"), str):
        return None
    file = path.parent / Path(value["file"]).name
    if not file.is_file() or not isinstance(value.get("bytes"), int) or file.stat().st_size != value["bytes"]:
        return None
    texts = {item.name: str(value.get(item.name, "")) for item in fields(Cached) if item.name not in ("bytes", "path")}
    return Cached(**texts, bytes=value["bytes"], path=file)
