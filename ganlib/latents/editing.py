"""Named directions of w and their small files: `checkpoints/NAME/directions/DIRECTION.npz`.

Such a file holds the array `direction` and a line of JSON, `card`; it can be handed on, and opens beside every model
whose w has that length.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganlib.base.errors import DataError, InputError
from ganlib.base.filesystem import check_regular, open_regular
from ganlib.compute.torch_files import UNREADABLE, load_torch
from ganlib.latents.recipes import NAME
from ganlib.networks.base import GeneratorSpec
from ganlib.runs import write_bytes

FOLDER = "directions"
SUFFIX = ".npz"
SUFFIXES = (".npz", ".npy", ".pt", ".pth")
"""What files with directions of other tools are called."""
MOST_BYTES = 64 * 2**20
MOST_ROWS = 512
_WORDS = ("title", "method", "about", "model")
_HINT = "it should hold a direction [w_dim], [num_ws, w_dim], or rows of several [N, w_dim]"


@dataclass(frozen=True, eq=False)
class Direction:
    """A step in w that changes a picture in one way, one standard deviation of w long."""

    name: str
    """Its file's name without suffix: letters, digits, `-`, `_` and `.`; recipes refer to it."""
    vector: Tensor
    """`[w_dim]`, or `[num_ws, w_dim]` where style inputs move apart; float32."""
    title: str = ""
    """What a person calls it."""
    first: int = 0
    """First style input that it acts on by default."""
    last: int | None = None
    """Last such style input; None means all."""
    safe: tuple[float, float] | None = None
    """Strengths in sigmas between which pictures stay what the model knows, as measured; None: not measured."""
    method: str = ""
    """How it was found: `pca`, `sefa`, `favourites`, `pair`, `imported`."""
    about: str = ""
    """The same in a sentence."""
    model: str = ""
    """Digest of the model that it was found in."""

    @property
    def words(self) -> str:
        """Its title, or its name."""
        return self.title or self.name

    def suits(self, spec: GeneratorSpec) -> bool:
        """Whether its numbers fit a model's w."""
        return tuple(self.vector.shape) in ((spec.w_dim,), (spec.num_ws, spec.w_dim))

    def card(self) -> dict[str, Any]:
        """Return everything but the vector, JSON-able."""
        safe = None if self.safe is None else list(self.safe)
        return {word: getattr(self, word) for word in _WORDS} | {"first": self.first, "last": self.last, "safe": safe}


def save_direction(folder: Path, direction: Direction) -> Path:
    """Write a direction below a model's `folder` and return its path; one of the same name is replaced.

    Raises `InputError` for a name that is none, and for numbers that are not finite."""
    if not NAME.fullmatch(direction.name):
        raise InputError(f"{direction.name[:40]!r} is no name of a direction", "use letters, digits, '-', '_' and '.'")
    vector = direction.vector.detach().float().cpu()
    if vector.ndim not in (1, 2) or not torch.isfinite(vector).all() or not vector.any():
        raise InputError(f"the direction {direction.name} has no length", "find it again, or choose another file")
    buffer = io.BytesIO()
    np.savez(buffer, direction=vector.numpy(), card=np.array(json.dumps(direction.card())))
    path = Path(folder) / FOLDER / (direction.name + SUFFIX)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, buffer.getvalue())
    return path


def load_direction(path: Path) -> Direction:
    """Return the direction in a file of this studio. Raises `DataError` for any other file."""
    path = Path(path)
    try:
        arrays = read_arrays(path, max_bytes=MOST_BYTES)
        vector = np.asarray(arrays["direction"], np.float32)
        card = json.loads(str(arrays["card"])) if "card" in arrays else {}
    except FileNotFoundError as error:
        raise DataError(f"no direction at {path}", "see `python -m ganlib directions --list`") from error
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, RecursionError) as error:
        raise DataError(f"{path.name} holds no direction", "find it again, or import it") from error
    _check(vector, path.name)
    if vector.ndim == 2 and len(vector) == 1:
        vector = vector[0]
    return Direction(path.stem, torch.from_numpy(vector), **_read_card(card))


def _check(vector: np.ndarray, name: str) -> None:
    if vector.ndim not in (1, 2) or not 1 <= vector.shape[-1] <= 8192 or len(vector) > 8192:
        raise DataError(f"{name} has an array of shape {list(vector.shape)}", _HINT)
    if not np.isfinite(vector).all() or not vector.any():
        raise DataError(f"{name} holds no length, or values that are not finite", "choose another file")


def _read_card(card: Any) -> dict[str, Any]:
    """What a card of unknown origin says, as far as it makes sense."""
    if not isinstance(card, Mapping):
        return {}
    found: dict[str, Any] = {word: str(card.get(word) or "")[:200] for word in _WORDS}
    first, last, safe = card.get("first"), card.get("last"), card.get("safe")
    if type(first) is int and 0 <= first < 1000:
        found["first"] = first
    if type(last) is int and found.get("first", 0) <= last < 1000:
        found["last"] = last
    if isinstance(safe, list) and len(safe) == 2 and all(type(end) in (int, float) for end in safe):
        low, high = map(float, safe)
        if math.isfinite(low) and math.isfinite(high) and low <= 0 <= high:
            found["safe"] = (low, high)
    return found


def list_directions(folder: Path) -> tuple[list[Direction], list[DataError]]:
    """Return the directions of a model's folder, in order of name, and an error for every file that is none."""
    good, bad = [], []
    for path in sorted((Path(folder) / FOLDER).glob(f"*{SUFFIX}")):
        if path.name.startswith("."):
            continue  # still being written
        try:
            good.append(load_direction(path))
        except DataError as error:
            bad.append(error)
    return good, bad


def find_direction(folder: Path, words: str) -> Direction:
    """Return the direction that a person calls by its name or, in whatever case, its title.

    Raises InputError where there is none, naming those there are, and where several are called so, naming them: also
    where what is one's name is another's title."""
    there = list_directions(folder)[0]
    called = words.strip().casefold()
    named = [each for each in there if each.name == words]
    called_so = [each for each in there if called in (each.name.casefold(), each.title.casefold())]
    if named:  # another name in other letters, such as D2 beside d2, is no doubt; another's title is
        called_so = named + [each for each in there if each.name != words and each.title.casefold() == called]
    if len(called_so) == 1:
        return called_so[0]
    if called_so:
        names = ", ".join(each.name for each in called_so)[:300]
        hint = f"rename one: {_listed(called_so)}" if named else f"use the name of one: {names}"
        raise InputError(f"{len(called_so)} directions are called {words[:40]!r}", hint)
    raise InputError(f"no direction named {words[:40]!r}", f"directions of this model: {_listed(there) or 'none'}")


def _listed(directions: list[Direction]) -> str:
    """Names with titles, for a sentence."""
    return ", ".join(f"{each.name} ({each.title})" if each.title else each.name for each in directions)[:300]


def rename_direction(folder: Path, name: str, new: str, title: str | None = None) -> Direction:
    """Give a direction another name, and another title where it is not None; return it.

    Recipes that name the old one find it no longer. Raises `InputError` where the new name is taken."""
    old = _path(folder, name)
    direction = load_direction(old)
    direction = replace(direction, name=new, title=direction.title if title is None else title)
    if new != name and _path(folder, new).exists():
        raise InputError(f"there is a direction called {new} already", "choose another name")
    save_direction(folder, direction)
    if new != name:
        old.unlink()
    return direction


def remove_direction(folder: Path, name: str) -> None:
    """Delete a direction's file; nothing happens where there is none."""
    _path(folder, name).unlink(missing_ok=True)


def _path(folder: Path, name: str) -> Path:
    if not NAME.fullmatch(name):
        raise InputError(f"{name[:40]!r} is no name of a direction", "use letters, digits, '-', '_' and '.'")
    return Path(folder) / FOLDER / (name + SUFFIX)


# --- files of other tools ---------------------------------------------------------------------------------------------


def read_directions(path: Path, spec: GeneratorSpec) -> list[Direction]:
    """Return the directions in a file of this studio or another: `.npz`, `.npy`, or `.pt` (a tensor, or a table of
    tensors, read without running anything).

    An array is `[w_dim]`, `[num_ws, w_dim]` or rows `[N, w_dim]`, as far as its shape can tell: with as many rows as
    the model has style inputs it is one direction. Files of other tools do not say how long a sigma is: their vectors
    are taken as they are. Raises `DataError` for a file without any that fits the model.
    """
    path = Path(path)
    try:
        if not check_regular(path, max_bytes=MOST_BYTES).st_size:
            raise DataError(f"{path.name} has 0 bytes", "choose another file")
        arrays = _arrays(path)
    except FileNotFoundError as error:
        raise DataError(f"no file {path}", "check the path") from error
    except UNREADABLE as error:
        why = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
        raise DataError(f"{path.name} holds no arrays that can be read{why}", _HINT) from error
    if "card" in arrays and "direction" in arrays:
        return [_suiting(load_direction(path), spec)]
    found: list[Direction] = []
    for key, array in arrays.items():
        if array.dtype.kind not in "fiu" or array.ndim > 4:
            continue
        array = np.ascontiguousarray(array, np.float32)
        while array.ndim > 1 and len(array) == 1:
            array = array[0]
        stem = _clean(path.stem if len(arrays) == 1 else f"{path.stem}-{key}")
        if array.shape in ((spec.w_dim,), (spec.num_ws, spec.w_dim)):
            rows = [array]
        elif array.ndim == 2 and array.shape[1] == spec.w_dim and len(array) <= MOST_ROWS:
            rows = list(array)
        else:
            continue
        for i, row in enumerate(rows):
            if np.isfinite(row).all() and row.any():
                name = stem if len(rows) == 1 else f"{stem}-{i + 1:02d}"
                about = f"from {path.name}"
                found.append(Direction(name, torch.from_numpy(row.copy()), method="imported", about=about))
    if not found:
        raise DataError(f"{path.name} holds no direction for w of {spec.w_dim} numbers", _HINT)
    return found[:MOST_ROWS]


def _suiting(direction: Direction, spec: GeneratorSpec) -> Direction:
    if not direction.suits(spec):
        shape = list(direction.vector.shape)
        raise DataError(f"{direction.name} is a direction {shape} for another kind of model", _HINT)
    return direction


def _arrays(path: Path) -> dict[str, np.ndarray]:
    if path.suffix in (".pt", ".pth"):
        value = load_torch(path, max_bytes=MOST_BYTES)
        table = value if isinstance(value, Mapping) else {"direction": value}
        return {str(key): item.detach().numpy() for key, item in table.items() if isinstance(item, Tensor)}
    arrays = read_arrays(path, max_bytes=MOST_BYTES)
    return {name or "direction": array for name, array in arrays.items()}


def read_arrays(path: Path, *, max_bytes: int) -> dict[str, np.ndarray]:
    """Return the arrays in an .npz by name, or the one in an .npy under an empty name.

    `max_bytes`: of the file, and of what it unfolds to. Raises ValueError, OSError and what else numpy raises for a
    file of another kind."""
    with open_regular(path, max_bytes=max_bytes) as file:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > max_bytes:
                    raise ValueError("it unfolds to far more than it is large")
        file.seek(0)
        loaded = np.load(file, allow_pickle=False)
        arrays = {"": loaded} if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded}
    return {name: array for name, array in arrays.items() if isinstance(array, np.ndarray)}


def _clean(text: str) -> str:
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in text).strip("-._")
    return name[:48] or "direction"
