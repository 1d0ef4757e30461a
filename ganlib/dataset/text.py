"""What people and other tools write beside pictures: text in the usual encodings, JSON, and names of pictures."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Any, Generic, TypeVar

from ganlib.base.errors import DataError
from ganlib.dataset.files import Files, is_picture_name

T = TypeVar("T")
MAX_JSON_BYTES = 64 * 2**20  # of labels: a million pictures have half of it; unpacked, it takes twenty times the memory
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[\]}])', re.DOTALL)


def text_of(data: bytes) -> str:
    """Return text in UTF-8, UTF-16 or UTF-32, with or without the mark at its beginning.

    Raises UnicodeDecodeError, which is a ValueError.
    """
    return data.decode(json.detect_encoding(data))


# --- JSON -------------------------------------------------------------------------------------------------------------


class Object(dict[str, Any]):
    """A JSON object that still knows a key which it holds twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def read_json(files: Files, name: str, *, without: str = "") -> Any:
    """Return the JSON in a file of the source; its objects are `Object`s. A comma behind the last entry is overlooked.

    Raises DataError, with line and column, for what is no JSON or no text, and for more than `MAX_JSON_BYTES`; its hint
    ends in `without`.
    """
    where = f"{name} in {files.path}"
    hint = f"Mend {PurePosixPath(name).name} with a text editor, or write it anew. {without}".strip()
    try:
        data = files.read(name, MAX_JSON_BYTES + 1)
        if len(data) > MAX_JSON_BYTES:
            words = "It is larger than any list of classes: long vectors, such as camera poses, are none."
            raise DataError(f"{where} is larger than {MAX_JSON_BYTES // 2**20} MiB", f"{words} {without}".strip())
        text = text_of(data)
        try:
            return json.loads(text, object_pairs_hook=Object)
        except ValueError:
            # A blank takes the comma's place, so that a place told below is one of the file itself.
            return json.loads(_TRAILING_COMMA.sub(lambda found: found[1] or " ", text), object_pairs_hook=Object)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise DataError(f"{where} is not readable JSON: {error.msg}, {place}", hint) from error
    except UnicodeDecodeError as error:
        lines = error.object[: error.start].decode(error.encoding).split("\n")
        place = f"line {len(lines)}, column {len(lines[-1]) + 1}"
        words = f"{where} is no {error.encoding.upper()} text: {place} (byte 0x{error.object[error.start]:02x})"
        raise DataError(words, f"Open it with a text editor, and save it as UTF-8. {without}".strip()) from error
    except RecursionError as error:
        raise DataError(f"{where} is not readable JSON: it is nested too deeply", hint) from error
    except ValueError as error:
        raise DataError(f"{where} is not readable JSON: {error}", hint) from error


def read_object(files: Files, name: str) -> Object:
    """Return the JSON object in the set's own file of that name, as `find_own` finds it; empty without one.

    Raises DataError for what is no JSON; JSON that is no object is another tool's, and as good as none.
    """
    own = find_own(files, name)
    value = None if own is None else read_json(files, own)
    return value if isinstance(value, Object) else Object([])


def find_own(files: Files, name: str) -> str | None:
    """Return the path of a set's own file: at the top, or in the folder in which all pictures lie; None without one."""
    return next((path for path in own_paths(files, name) if path in files), None)


def own_paths(files: Files, name: str) -> list[str]:
    """Return where a set's own file of that name is looked for, in this order."""
    if not files.pictures:
        return [name]
    # What the first and the last of a sorted list have in common, all have.
    folders = (picture.split("/")[:-1] for picture in (files.pictures[0], files.pictures[-1]))
    shared = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(*folders, strict=False))]
    return ["/".join([*shared[:length], name]) for length in range(len(shared) + 1)]


# --- names of pictures ------------------------------------------------------------------------------------------------


def tidy(name: str) -> str:
    """Return a name with `/` for `\\`, and without `./` and doubled `/`."""
    return "/".join(part for part in name.strip().replace("\\", "/").split("/") if part not in ("", "."))


def match(listed: Mapping[str, T], names: Iterable[str], *, loosely: bool = True) -> tuple[dict[str, T], list[str]]:
    """Return what is listed for each of `names`, as far as it is, and what is listed for none of them.

    The same name counts first; then one in another dress: `\\` for `/`, `./` before it, other case, other Unicode form.
    Loosely, what is left then finds its picture where one of both names has more folders before it, and last where
    also the suffix is another one or missing. A name for which different things are listed alike finds none.
    """
    rest = list(names)
    found = {name: listed[name] for name in rest if name in listed}
    left = [name for name in listed if name not in found]
    # Names of folders are only left off where nothing is named more exactly, and the same for suffixes.
    for dress, with_folders in ((_folded, True), (_folded, False), (_stem, False)) if loosely else ((_folded, True),):
        rest = [name for name in rest if name not in found]
        if not rest or not left:
            break
        whole, tails = _Heard[T](), _Heard[T]()
        for name in left:
            dressed = dress(name)
            whole.add(dressed, name, listed[name])
            if not with_folders:
                for tail in _tails(dressed):
                    tails.add(tail, name, listed[name])
        used: set[str] = set()
        for name in rest:
            dressed = dress(name)
            places = [(whole, dressed)]
            if not with_folders:
                places += [(tails, dressed), *((whole, tail) for tail in _tails(dressed))]
            for heard, key in places:
                if key in heard.values:
                    if key not in heard.doubtful:
                        found[name] = heard.values[key]
                        used.update(heard.sources[key])
                    break
        left = [name for name in left if name not in used]
    return found, left


@dataclass
class _Heard(Generic[T]):
    """Values by one form of their names."""

    values: dict[str, T] = field(default_factory=dict)
    sources: dict[str, list[str]] = field(default_factory=dict)
    """The names that were written so."""
    doubtful: set[str] = field(default_factory=set)
    """Forms for which different values were heard."""

    def add(self, key: str, source: str, value: T) -> None:
        if self.values.setdefault(key, value) != value:
            self.doubtful.add(key)
        self.sources.setdefault(key, []).append(source)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", tidy(name)).casefold()


def _stem(name: str) -> str:
    """Without the suffix of a picture; `no. 7` has none."""
    folded = _folded(name)
    return folded.rpartition(".")[0] if is_picture_name(folded) else folded


def _tails(name: str) -> list[str]:
    """The name without its first folder, its first two …"""
    parts = name.split("/")
    return ["/".join(parts[i:]) for i in range(1, len(parts))]
