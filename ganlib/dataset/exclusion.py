"""Exclusion lists: a text file that a person edits, naming the pictures of a source that a data set leaves out.

    # one name per line, as in the report
    walls/IMG_2041.jpg  # near-duplicate of walls/IMG_2040.jpg
    "song #3.jpg"

A `#` that begins a line or follows a space begins a comment; the comment behind a name is the reason for it. A name in
which that would go wrong stands in double quotes, written as in JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from ganlib.base.errors import InputError
from ganlib.base.filesystem import read_regular
from ganlib.dataset.text import text_of
from ganlib.runs import write_bytes

_MOST_BYTES = 64 * 2**20
EXCLUDED = "excluded by the list"
_HEADER = "# One source name per line. Delete a line, or put a # before it, to keep the picture."
_COMMENT = re.compile(r"(?:^|\s)#")


def read_exclusions(path: Path | str, *, flag: str = "--exclude") -> dict[str, str]:
    """Return source name → reason (empty where none is given) in the order of the list.

    `flag` is what a hint calls the list. Raises InputError for a file that is missing, unreadable or no text in UTF-8
    or UTF-16.
    """
    path = Path(path)
    hint = f"Give {flag} a text file with one source name per line."
    try:
        text = text_of(read_regular(path, max_bytes=_MOST_BYTES))
    except OSError as error:
        raise InputError(f"the list {path} cannot be read: {error.strerror or error}", hint) from error
    except UnicodeDecodeError as error:
        raise InputError(f"the list {path} is not UTF-8 or UTF-16 text", hint) from error
    names: dict[str, str] = {}
    for line in text.split("\n"):
        name, reason = _parsed(line)
        if name:
            names[name] = names.get(name) or reason
    return names


def write_exclusions(path: Path | str, names: Mapping[str, str]) -> None:
    """Write source name → reason, replacing the file whole; `read_exclusions` gives the same back.

    Of a reason, line breaks and other characters that cannot be printed become spaces.
    """
    lines = [_HEADER]
    for name, reason in names.items():
        words = " ".join("".join(c if c.isprintable() else " " for c in reason).split())
        lines.append(_quoted(name) + (f"  # {words}" if words else ""))
    write_bytes(Path(path), ("\n".join(lines) + "\n").encode())


def _parsed(line: str) -> tuple[str, str]:
    """The name and the reason in a line; both are empty where it is a comment or blank."""
    line = line.strip()
    if line.startswith('"'):
        try:
            name, end = json.JSONDecoder().raw_decode(line)
        except ValueError:
            pass  # a name that happens to begin with a quotation mark
        else:
            rest = line[end:].strip()
            if not rest or rest.startswith("#"):
                return name, rest[1:].strip()
    comment = _COMMENT.search(line)
    if comment is None:
        return line, ""
    return line[: comment.start()].strip(), line[comment.end() :].strip()


def _quoted(name: str) -> str:
    """The name as it stands in a list."""
    if _parsed(name) == (name, "") and name.isprintable():
        return name
    return json.dumps(name, ensure_ascii=not name.isprintable())
