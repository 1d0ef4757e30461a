"""What the Hub says about models: names, licences, and the files that this studio can open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ganlib.base.errors import HubError, InputError
from ganlib.models import checkpoints, foreign
from ganlib.models.hub.client import TIMEOUT_SECONDS, check_repo_id, endpoint, find_token, open_api, translate_errors
from ganlib.models.rights import read_licence, rights_words

TAG = "latent-atelier"
TAGS = (TAG, "stylegan2", "stylegan3", "stylegan2-ada", "gan")
"""Tags under which models may be found that this studio opens."""
SUFFIXES = (checkpoints.SUFFIX, *foreign.SUFFIXES)
MOST_FOUND = 200


@dataclass(frozen=True)
class HubFile:
    """A file of a model's repository that may be opened here."""

    name: str
    """Path inside the repository."""
    bytes: int | None = None
    """None: the Hub did not say."""
    sha256: str = ""
    """Hexadecimal; empty where the Hub does not know it."""
    git_sha1: str = ""
    """Git's digest of a small file, for which the Hub keeps no sha256."""

    @property
    def is_own(self) -> bool:
        """Whether its name is that of this studio's format; the others are imported."""
        return self.name.endswith(checkpoints.SUFFIX)


@dataclass(frozen=True)
class HubModel:
    """A model on the Hub, as its page says; all texts are those of an unknown author."""

    id: str
    """`owner/name`."""
    licence: str
    """As stated; empty where nothing is."""
    downloads: int
    """In the last month."""
    likes: int
    updated: str
    """ISO date; empty where unknown."""
    files: tuple[HubFile, ...]
    """Those that may be opened here; none where the model is of another kind."""
    private: bool
    gated: bool
    """Whether its terms have to be accepted on its page first."""
    tags: tuple[str, ...]
    datasets: tuple[str, ...]
    commit: str
    """The commit that this describes."""

    @property
    def commercial(self) -> bool | None:
        """Whether its pictures may be sold; None is not known."""
        return read_licence(self.licence).commercial

    @property
    def rights(self) -> str:
        """What the licence allows, in a sentence."""
        return rights_words(self.licence)

    @property
    def address(self) -> str:
        """Its page."""
        return f"{endpoint()}/{self.id}"


def search(text: str = "", *, tag: str = TAG, limit: int = 24, token: str | None = None) -> list[HubModel]:
    """Return models whose name holds `text` and that carry `tag` (empty: any), most downloaded first.

    Sizes and digests of files are not known from a search; `look` knows them. Raises `HubError`."""
    if not 1 <= limit <= MOST_FOUND:
        raise InputError(f"{limit} models cannot be listed", f"ask for 1 to {MOST_FOUND}")
    wanted = {"search": text.strip(), "filter": tag.strip(), "sort": "downloads", "limit": str(limit)}
    wanted = {name: value for name, value in wanted.items() if value} | {"full": "true", "cardData": "true"}
    with translate_errors("search the Hub", token=token):
        from huggingface_hub.hf_api import ModelInfo
        from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

        # What the client's `list_models` asks, without its repetitions: they keep a person waiting for minutes.
        answer = get_session().get(
            f"{endpoint()}/api/models", params=wanted, timeout=TIMEOUT_SECONDS,
            headers=build_hf_headers(token=find_token(token) or False),
        )  # fmt: skip
        hf_raise_for_status(answer)
        rows = answer.json()
        rows = rows if isinstance(rows, list) else []
        return [_model(ModelInfo(**row)) for row in rows[:limit] if isinstance(row, dict) and "id" in row]


def look(repo_id: str, *, revision: str | None = None, token: str | None = None) -> HubModel:
    """Return one model with the sizes and digests of its files. Raises `HubError`, and `InputError` for a bad name."""
    repo_id = check_repo_id(repo_id)
    with translate_errors(f"look at {repo_id}", repo_id=repo_id, token=token):
        info = open_api(token).model_info(
            repo_id, revision=revision or None, files_metadata=True, timeout=TIMEOUT_SECONDS
        )
    return _model(info)


def choose_file(model: HubModel, filename: str | None = None) -> HubFile:
    """Return the named file, or the only one that can be meant. Raises `HubError` that lists what there is."""
    if filename:
        found = [file for file in model.files if file.name == filename]
        if not found:
            hint = _listed(model) or f"this studio opens {', '.join(SUFFIXES)}"
            raise HubError(f"{model.id} has no file {filename[:120]!r} that can be opened here", hint)
        return found[0]
    for files in ([file for file in model.files if file.is_own], list(model.files)):
        if len(files) == 1:
            return files[0]
    if not model.files:
        raise HubError(f"{model.id} has no file that can be opened here", f"this studio opens {', '.join(SUFFIXES)}")
    raise HubError(f"{model.id} has {len(model.files)} files that may be meant", f"name one: {_listed(model)}")


def _listed(model: HubModel) -> str:
    names = [file.name for file in model.files]
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _model(info: Any) -> HubModel:
    card = info.card_data.to_dict() if info.card_data is not None else {}
    updated = getattr(info, "last_modified", None)
    return HubModel(
        id=_plain(info.id),
        licence=_licence(card, info.tags or []),
        downloads=int(info.downloads or 0),
        likes=int(info.likes or 0),
        updated=updated.date().isoformat() if updated else "",
        files=tuple(_file(item) for item in info.siblings or [] if _is_openable(item.rfilename)),
        private=bool(info.private),
        gated=bool(info.gated),
        tags=tuple(_plain(tag) for tag in info.tags or [])[:100],
        datasets=tuple(_plain(name) for name in _as_list(card.get("datasets")))[:12],
        commit=_plain(info.sha or ""),
    )


def _is_openable(name: str) -> bool:
    return PurePosixPath(name).suffix in SUFFIXES and ".." not in PurePosixPath(name).parts and name.isprintable()


def _plain(value: Any) -> str:
    """Words of a stranger for a terminal: one line without control characters, not endless."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())[:200]


def _file(item: Any) -> HubFile:
    lfs = item.lfs
    sha256 = str((lfs.get("sha256") if isinstance(lfs, Mapping) else getattr(lfs, "sha256", "")) or "")
    git = "" if sha256 else str(item.blob_id or "")
    return HubFile(item.rfilename, item.size, sha256.lower(), git.lower())


def _licence(card: Mapping[str, Any], tags: list[str]) -> str:
    """The licence that a model's card states; for `other`, the name that it gives."""
    stated = [str(text) for text in _as_list(card.get("license"))]
    stated = stated or [tag.removeprefix("license:") for tag in tags if tag.startswith("license:")]
    if stated in (["other"], []):
        stated = [str(card.get("license_name") or card.get("license_link") or "")]
    return _plain(", ".join(stated))


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
