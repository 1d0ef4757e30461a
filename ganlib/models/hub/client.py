"""The Hub's own client, asked with time limits, and its errors said in sentences with a next step."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from typing import Any

from ganlib.base.errors import GanlibError, HubError, InputError
from ganlib.runs.files import is_disk_full

TIMEOUT_SECONDS = 30.0  # without a sign of life
DEFAULT_ENDPOINT = "https://huggingface.co"
LOGIN_HINT = "run `hf auth login`, or set HF_TOKEN, then try again"
OFFLINE_HINT = "check the network; what was downloaded before is there: python -m ganlib hub list"
DISK_HINT = "free some space on the disk, then start it again: it goes on from here"
_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
_MOST_WORDS = 300


def endpoint() -> str:
    """The Hub's address: `HF_ENDPOINT`, or that of Hugging Face; without a slash at the end."""
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


def check_repo_id(repo_id: str) -> str:
    """Return `owner/name` without what a pasted address has around it. Raises `InputError` for other words."""
    text = repo_id.strip().removeprefix(endpoint() + "/").removeprefix(DEFAULT_ENDPOINT + "/").removeprefix("hf:")
    if not _REPO.fullmatch(text) or ".." in text or "--" in text or text.endswith((".git", ".", "-")):
        problem = f"'{repo_id[:80]}' is no name of a model on the Hub"
        raise InputError(problem, "write it as owner/name, such as me/fruit")
    return text


def find_token(token: str | None = None) -> str | None:
    """Return the given token, or that of `HF_TOKEN` or `hf auth login`; None where there is none."""
    import huggingface_hub

    return token or huggingface_hub.get_token()


def open_api(token: str | None = None) -> Any:
    """Return the client's `HfApi`, which waits no longer than `TIMEOUT_SECONDS` for a sign of life."""
    import huggingface_hub
    from huggingface_hub.utils import get_session

    session = get_session()
    if hasattr(session, "timeout"):  # for ever, where nothing else is said
        session.timeout = TIMEOUT_SECONDS
    # False keeps the client from sending a token that it finds by itself: what is sent is what `find_token` said.
    return huggingface_hub.HfApi(endpoint=endpoint(), token=find_token(token) or False)


def network_errors() -> tuple[type[Exception], ...]:
    """What the Hub's client lets through when there is no network; its HTTP library has changed over time."""
    found: list[type[Exception]] = [OSError]
    for module, name in (("httpx", "HTTPError"), ("httpx2", "HTTPError"), ("requests", "RequestException")):
        try:
            found.append(getattr(__import__(module), name))
        except (ImportError, AttributeError):
            continue
    return tuple(found)


@contextmanager
def translate_errors(
    what: str, *, repo_id: str = "", token: str | None = None, may_write: bool = False
) -> Iterator[None]:
    """Translate the client's errors inside into `HubError`s. `what` completes "cannot …".

    `token` appears in no message, whatever a server sends back. `may_write` also translates what its uploads raise.
    """
    from huggingface_hub.errors import HFValidationError

    secret = find_token(token) or ""
    kinds = (*network_errors(), HFValidationError, JSONDecodeError, *((RuntimeError, ValueError) if may_write else ()))
    try:
        yield
    except GanlibError:
        raise
    except kinds as error:
        raise _translated(error, what, repo_id, secret) from _cleaned(error, secret)


def status_error(status: int, what: str, *, repo_id: str = "", retry_after: str = "", words: str = "") -> HubError:
    """Return what a site's answer of `status` means for a person; `words` are the site's own."""
    where = f"{endpoint()}/{repo_id}" if repo_id else ""
    said = f" ({words})" if words else ""
    if status == 401:
        hint = f"if {where} asks for it, accept its terms there; then {LOGIN_HINT}" if where else LOGIN_HINT
        return HubError(f"cannot {what}: the site asks who you are, or does not know this token{said}", hint)
    if status == 403:
        hint = f"open {where} in a browser and see what it asks for; " if where else ""
        hint += "a token needs the permission for it: https://huggingface.co/settings/tokens"
        return HubError(f"cannot {what}: the site forbids it{said}", hint)
    if status in (404, 410):
        return HubError(f"cannot {what}: it is not there{said}", f"look at {where or 'its page'} for what there is")
    if status == 429:
        wait = f"wait {retry_after} seconds" if retry_after.isdigit() else "wait some minutes"
        return HubError(f"cannot {what}: the site was asked too often{said}", f"{wait}, then try again")
    if status >= 500:
        return HubError(f"cannot {what}: the site answered {status}{said}", "it has trouble: try again in some minutes")
    return HubError(f"cannot {what}: the site answered {status}{said}", "try again; if that stays, see the site's page")


def offline_error(what: str) -> HubError:
    """Return the error for a wish that needs the network where `HF_HUB_OFFLINE` forbids it."""
    return HubError(f"cannot {what}: HF_HUB_OFFLINE keeps this computer offline", f"unset it; or {OFFLINE_HINT[19:]}")


def _translated(error: Exception, what: str, repo_id: str, secret: str) -> GanlibError:
    from huggingface_hub import errors

    known = (*network_errors(), errors.HFValidationError)
    inner = error.__cause__
    if not isinstance(error, known) and isinstance(inner, Exception) and isinstance(inner, known):
        error = inner  # an upload's error wraps that of its request
    words = _scrubbed(str(getattr(error, "server_message", "") or ""), secret)
    where = f"{endpoint()}/{repo_id}"
    if isinstance(error, errors.HFValidationError):
        return InputError(f"cannot {what}: {_scrubbed(str(error), secret)}", "write the name as owner/name")
    if isinstance(error, errors.OfflineModeIsEnabled):
        return offline_error(what)
    if isinstance(error, errors.GatedRepoError):
        hint = f"open {where} in a browser, accept what it asks for, then {LOGIN_HINT}"
        return HubError(f"cannot {what}: {repo_id or 'it'} is only for people who accepted its terms", hint)
    if isinstance(error, errors.RevisionNotFoundError):
        return HubError(f"cannot {what}: {repo_id} has no such revision", f"see its branches at {where}/tree/main")
    if isinstance(error, errors.EntryNotFoundError):
        return HubError(f"cannot {what}: {repo_id} has no such file", f"its files are listed at {where}/tree/main")
    if isinstance(error, errors.RepositoryNotFoundError):
        hint = f"check the name; if it is private, {LOGIN_HINT}"
        return HubError(f"cannot {what}: there is no {repo_id or 'such model'} that you may see", hint)
    if isinstance(error, errors.HfHubHTTPError) and getattr(error, "response", None) is not None:
        answer = error.response
        return status_error(
            int(answer.status_code), what, repo_id=repo_id, words=words,
            retry_after=str(answer.headers.get("Retry-After", "")),
        )  # fmt: skip
    if is_disk_full(error):
        return HubError(f"cannot {what}: the disk is full", DISK_HINT)
    if isinstance(error, errors.LocalTokenNotFoundError):
        return HubError(f"cannot {what}: there is no token", LOGIN_HINT)
    if isinstance(error, JSONDecodeError):
        problem = f"cannot {what}: what answers at {endpoint()} is no Hub"
        return HubError(problem, "see in a browser whether this network wants you to sign in first")
    if isinstance(error, ValueError | RuntimeError):
        return HubError(f"cannot {what}: {_scrubbed(str(error), secret)}", "try again; if that stays, look at its page")
    if isinstance(error, TimeoutError) or "timeout" in type(error).__name__.lower():
        return HubError(f"cannot {what}: {endpoint()} does not answer in time", OFFLINE_HINT)
    if isinstance(error, PermissionError | FileNotFoundError | IsADirectoryError | NotADirectoryError):
        return HubError(f"cannot {what}: {error.strerror}: {error.filename}", "check the path and its permissions")
    return HubError(f"cannot {what}: {endpoint()} cannot be reached ({_scrubbed(str(error), secret)})", OFFLINE_HINT)


def _scrubbed(text: str, secret: str) -> str:
    """The words on one line, not endless, without the token."""
    text = " ".join(text.replace(secret, "…").split() if secret else text.split())
    return text if len(text) <= _MOST_WORDS else f"{text[: _MOST_WORDS - 1]}…"


def _cleaned(error: Exception, secret: str) -> Exception | None:
    """The error itself, or None where a traceback of it would show the token."""
    link: BaseException | None = error
    while secret and link is not None:
        if secret in str(link) or secret in repr(link):
            return None
        link = link.__cause__ or link.__context__
    return error
