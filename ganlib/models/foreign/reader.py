"""The door: any model file of other tools as networks of this studio."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ganlib.base.errors import CheckpointError
from ganlib.base.filesystem import NotRegularError, check_regular, open_regular
from ganlib.base.options import format_choices
from ganlib.models import checkpoints
from ganlib.models.checkpoints import Checkpoint
from ganlib.models.foreign.builder import build_networks
from ganlib.models.foreign.nvidia import generator_parts, holds_generator, plain_parts, snapshot_parts
from ganlib.models.foreign.parts import Parts, only_tensors
from ganlib.models.foreign.pickles import Budget, PickleReader, Stream, short
from ganlib.models.foreign.rosinality import checkpoint_parts, is_rosinality
from ganlib.models.foreign.tensorflow import legacy_parts
from ganlib.models.foreign.torchfiles import LEGACY_MAGIC, read_legacy, read_zip
from ganlib.models.foreign.values import ALLOWED, TF_NETWORK, Network, Record
from ganlib.networks.base import Discriminator, Generator, GeneratorSpec

SUFFIXES = checkpoints.FOREIGN_SUFFIXES
"""What such files are called."""
MOST_BYTES = 8 * 2**30
_NONSENSE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError)  # of any depth
UNKNOWN_LICENCE = "unknown"
# What training code keeps weights under, the averaged ones first; also the first words of flat names.
_WRAPPERS = (
    "params_ema", "g_ema", "G_ema", "ema", "state_dict", "model_state_dict", "checkpoint", "model", "generator",
    "params", "module", "_orig_mod",
)  # fmt: skip
_NETWORKS = (*_WRAPPERS, "G", "D", "d")
_DEEPEST_WRAPPING = 6


@dataclass(frozen=True, eq=False)
class Foreign:
    """A model of another tool, read without running anything in its file."""

    spec: GeneratorSpec
    G_ema: Generator
    """The generator, in evaluation mode, float32, without gradients."""
    D: Discriminator | None
    """The discriminator, None where the file has none that this studio knows."""
    augment_p: float | None
    """Strength of augmentation at that moment of training, 0 … 1, where known."""
    kimg: float | None
    """Thousands of real pictures shown, where the file's name says so."""
    source: str
    """The format and the file's name."""
    data: str
    """What the file says of its training data; may be empty."""
    licence: str
    """Always `unknown`: these formats do not say it."""
    notes: tuple[str, ...]
    """What was left out or assumed."""
    asked: tuple[str, ...]
    """Names of Python objects that the file asked for, all of them on the list of harmless ones."""


def open_foreign(path: Path, *, asked: set[str] | None = None) -> Foreign:
    """Return a model of NVIDIA's or rosinality's tools, or a state dict of NVIDIA's tensor names.

    Nothing in the file is executed. `asked` collects the names that the file asks for, also where it is refused.
    Raises `CheckpointError` for what is damaged, hostile or of another kind."""
    path = Path(path)
    asked = set() if asked is None else asked
    try:
        found = check_regular(path)
        if not 0 < found.st_size <= MOST_BYTES:
            raise CheckpointError(
                f"{path.name} has {found.st_size} bytes", f"models have up to {MOST_BYTES >> 30} GiB: copy it again"
            )
        with open_regular(path) as file:
            parts = _read(file, found.st_size, asked)
        G, D = build_networks(parts)
    except FileNotFoundError as error:
        raise CheckpointError(f"no model file at {path}", "check the path") from error
    except (NotRegularError, IsADirectoryError) as error:
        raise CheckpointError(f"{path} is no file: {error.strerror}", "name a .pkl or .pt file") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}", "see its permissions") from error
    except MemoryError as error:
        raise CheckpointError(f"{path.name} does not fit in memory", "close other programs") from error
    except _NONSENSE as error:
        # The readers check what they use; what they did not think of ends here, as a file that makes no sense.
        what = f"{path.name}: its numbers make no model ({type(error).__name__})"
        raise CheckpointError(what, "the file is damaged, or a fork of a known tool made it") from error
    except CheckpointError as error:
        if path.name in error.message:
            raise
        raise CheckpointError(f"{path.name}: {error.message}", error.hint) from error
    snapshot = re.search(r"network-(?:snapshot|final)-(\d{1,9})\b", path.stem)
    return Foreign(
        G.spec, G, D, parts.augment_p, float(snapshot[1]) if snapshot else None, f"{parts.kind}: {short(path.name)}",
        parts.data, UNKNOWN_LICENCE, tuple(parts.notes), tuple(sorted(asked)),
    )  # fmt: skip


def _read(file: BinaryIO, size: int, asked: set[str]) -> Parts:
    """Return the parts of the model in a file of one of the known formats."""
    head = file.read(16)
    file.seek(0)
    stream, budget = Stream(file, size), Budget(size)
    container = next((row for row in CONTAINERS.values() if head.startswith(row.magic)), None)
    if container is None:
        kind = "a page of the web" if head.lstrip()[:1] == b"<" else "no model of a known format"
        hint = f"{known_formats()}; download the file itself, not a page about it"
        raise CheckpointError(f"the file is {kind}", hint)
    return _recognise(container.read(stream, budget, asked), budget)


def _unwrapped(table: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Return the table of tensors that training code has wrapped: below `state_dict` and its kin, with `module.`
    before every name, in any order."""
    for _ in range(_DEEPEST_WRAPPING):
        table = {
            key: _without_prefix(value) if key in _NETWORKS and isinstance(value, dict) else value
            for key, value in _without_prefix(table).items()
        }
        flat = {"g_ema": table} if is_rosinality({"g_ema": table}) else table
        tables = [table[name] for name in _WRAPPERS if isinstance(table.get(name), dict)]
        if not tables or is_rosinality(flat) or holds_generator(flat):
            return flat
        table = tables[0]
    return table


def _without_prefix(table: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Drop the first word of all names of tensors while they share it and it is one of `_WRAPPERS`."""
    for _ in range(_DEEPEST_WRAPPING):
        names = list(only_tensors(table))
        word, dot, _ = names[0].partition(".") if names else ("", "", "")
        if not dot or word not in _WRAPPERS or not all(name.startswith(f"{word}.") for name in names):
            break
        table = {key.removeprefix(f"{word}.") if isinstance(key, str) else key: table[key] for key in table}
    return table


def _recognise(value: Any, budget: Budget) -> Parts:
    for row in IMPORTS.values():
        if (parts := row.parts(value, budget)) is not None:
            return parts
    held = short(", ".join(str(key) for key in list(value)[:8])) if isinstance(value, Mapping) else short(value)
    raise CheckpointError(f"it holds {held or 'nothing'}, and no generator of a known kind", known_formats())


def _nvidia(value: Any, budget: Budget) -> Parts | None:
    if isinstance(value, Network):
        return generator_parts(value, budget)
    is_snapshot = isinstance(value, Mapping) and any(isinstance(value.get(name), Network) for name in ("G_ema", "G"))
    return snapshot_parts(value, budget) if is_snapshot else None


def _tensorflow(value: Any, budget: Budget) -> Parts | None:
    items = value if isinstance(value, tuple | list) else (value,)
    if not 1 <= len(items) <= 3 or not all(isinstance(item, Record) and item.kind == TF_NETWORK for item in items):
        return None
    return legacy_parts(tuple(items), budget)


def _rosinality(value: Any, budget: Budget) -> Parts | None:
    found = _unwrapped(value) if isinstance(value, Mapping) else {}
    return checkpoint_parts(found, budget) if is_rosinality(found) else None


def _tensors(value: Any, budget: Budget) -> Parts | None:
    return plain_parts(_unwrapped(value), budget) if isinstance(value, Mapping) else None


@dataclass(frozen=True)
class Container:
    """A way to keep Python's objects in a file."""

    magic: bytes
    """How its files begin."""
    read: Callable[[Stream, Budget, set[str]], Any]
    """(file, budget, names that it asks for) → what it holds, with nothing run."""


CONTAINERS: dict[str, Container] = {
    "torch zip": Container(b"PK\x03\x04", lambda stream, budget, asked: read_zip(stream, ALLOWED, budget, asked)),
    "torch legacy": Container(LEGACY_MAGIC, lambda stream, budget, asked: read_legacy(stream, ALLOWED, budget, asked)),
    "pickle": Container(b"\x80", lambda stream, budget, asked: PickleReader(ALLOWED, budget, asked).read(stream)),
}
"""Tried in this order: a legacy file is a pickle too."""


@dataclass(frozen=True)
class Import:
    """A format of other tools' models."""

    title: str
    """For people."""
    parts: Callable[[Any, Budget], Parts | None]
    """What a file holds → the parts of its model; None where it is of another format."""


IMPORTS: dict[str, Import] = {
    "nvidia": Import("NVIDIA's network-snapshot .pkl", _nvidia),
    "tensorflow": Import("pickles of TensorFlow's era", _tensorflow),
    "rosinality": Import("rosinality's .pt", _rosinality),
    "tensors": Import("state dicts of NVIDIA's names", _tensors),
}


def known_formats() -> str:
    """What can be imported, in words."""
    return f"{format_choices([row.title for row in IMPORTS.values()])} can be imported".replace(" or ", " and ")


def import_model(
    path: Path,
    dest: Path,
    *,
    title: str = "",
    licence: str = "",
    source: str = "",
) -> Checkpoint:
    """Write a foreign model as a checkpoint of this studio and return its card.

    Empty words are filled from the file: its name, `unknown`, and its format. Raises `CheckpointError` as
    `open_foreign`, and where `dest` exists already or is no .safetensors file."""
    path, dest = Path(path), Path(dest)
    check_dest(dest)
    return save_foreign(open_foreign(path), dest, title=title or path.stem, licence=licence, source=source)


def check_dest(dest: Path) -> None:
    """Raise `CheckpointError` where a new model cannot have this path."""
    if dest.suffix != checkpoints.SUFFIX:
        raise CheckpointError(f"{dest} is no name of a model", f"give a name that ends in {checkpoints.SUFFIX}")
    if dest.exists():
        raise CheckpointError(f"{dest} exists already", "choose another name, or remove that model first")


def save_foreign(model: Foreign, dest: Path, *, title: str, licence: str = "", source: str = "") -> Checkpoint:
    """Write a model that was opened as a checkpoint and return its card; raises `CheckpointError` on a full disk."""
    return checkpoints.save_snapshot(
        dest,
        G_ema=model.G_ema,
        D=model.D,
        kimg=model.kimg or 0.0,
        title=title,
        source=source or model.source,
        licence=licence or model.licence,
        data=model.data,
        metrics={} if model.augment_p is None else {"augment_p": model.augment_p},
    )
