"""The table of formats, and the one door to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ganlib import runs
from ganlib.base.errors import CheckpointError, InputError
from ganlib.base.filesystem import reason
from ganlib.models.checkpoints import Checkpoint, load_discriminator, load_generator, read_card
from ganlib.models.export.about import facts_of, licence_text
from ganlib.models.export.graphs import OPSET, PARTS, Writer, write_onnx, write_torch
from ganlib.models.export.pickles import pickle_refusal, write_pickle
from ganlib.models.export.tensors import Report, nvidia_file, nvidia_refusal, rosinality_file, rosinality_refusal
from ganlib.networks.base import Discriminator, Generator, GeneratorSpec

SIDECAR = ".licence.txt"
Save = Callable[[Generator, Discriminator | None, Path, Mapping[str, str], Report], None]


@dataclass(frozen=True)
class Export:
    """One format that models can be written in: tensors with both networks, or a program."""

    name: str
    """What `export_model` and the command call it."""
    suffix: str
    """How its files end."""
    title: str
    """The name for people."""
    purpose: str
    """What such a file is for, in a sentence."""
    refusal: Callable[[GeneratorSpec], str]
    """Spec → why this model cannot be written so; empty where it can."""
    save: Save | None = None
    """(G, D or None, path, facts, report) writes a file of tensors; None where the format is a program."""
    write: Writer | None = None
    """(G, path, part, facts) → largest difference from the generator, None where it was not tried."""

    @property
    def has_discriminator(self) -> bool:
        """Whether a file has the discriminator too, so that training can go on."""
        return self.save is not None


def _anything(spec: GeneratorSpec) -> str:
    return ""


def _as_tables(tables: Callable[[Generator, Discriminator | None, Report], dict[str, Any]]) -> Save:
    """A format whose file is the table of `tables(G, D, report)`."""

    def save(G: Generator, D: Discriminator | None, path: Path, facts: Mapping[str, str], report: Report) -> None:
        found = {**tables(G, D, report), "about": dict(facts)}
        with path.open("wb") as stream:  # by name, PyTorch would write the temporary one into the archive
            torch.save(found, stream)

    return save


def _as_objects(layout: str, title: str, purpose: str) -> Export:
    """A pickle of objects of those programs' own classes."""
    refusal, save = partial(pickle_refusal, layout=layout), partial(write_pickle, layout=layout)
    return Export(layout, ".pkl", title, purpose, refusal, save=save)


EXPORTS: dict[str, Export] = {
    row.name: row
    for row in (
        Export(
            "nvidia", ".pt", "NVIDIA's tensors",
            "For StyleGAN2-ADA, StyleGAN3 and tools built on them: state dicts under NVIDIA's names, and the "
            "arguments that their classes are made by.",
            nvidia_refusal, save=_as_tables(nvidia_file),
        ),
        _as_objects(
            "nvidia-pkl", "NVIDIA's pickle, StyleGAN3's programs",
            "For the visualiser and other programs of NVIDIA's stylegan3 and its forks, such as stylegan3-fun: objects "
            "of their classes, StyleGAN2's among them.",
        ),
        _as_objects(
            "nvidia-ada-pkl", "NVIDIA's pickle, StyleGAN2-ADA's programs",
            "For programs of stylegan2-ada-pytorch and its forks: objects of their classes.",
        ),
        _as_objects(
            "autolume-pkl", "NVIDIA's pickle, Autolume",
            "For Autolume, whose classes have names of their own.",
        ),
        Export(
            "rosinality", ".pt", "rosinality's StyleGAN2",
            "For tools built on stylegan2-pytorch: {g_ema, latent_avg, d} as its training writes them.",
            rosinality_refusal, save=_as_tables(rosinality_file),
        ),
        Export(
            "onnx", ".onnx", f"ONNX, opset {OPSET}",
            "For browsers, phones, TouchDesigner, Unity and any runtime of ONNX: a graph that needs no Python.",
            _anything, write=write_onnx,
        ),
        Export(
            "torch", ".pt2", "PyTorch's exported program",
            "For Python and C++ with PyTorch alone: torch.export.load opens it without this studio's code.",
            _anything, write=write_torch,
        ),
    )
}  # fmt: skip
"""The formats by name."""


def check_export(card: Checkpoint, dest: Path, format: str, part: str = "whole") -> Export:
    """Return the format's row; raises `InputError` where this model cannot be written so or there."""
    if format not in EXPORTS:
        raise InputError(f"there is no format {format[:40]!r}", f"choose one of {', '.join(EXPORTS)}")
    row = EXPORTS[format]
    if dest.suffix != row.suffix:
        raise InputError(f"{dest.name} is no name for {row.title}", f"give a name that ends in {row.suffix}")
    if dest.exists():
        raise InputError(f"{dest} exists already", "choose another name, or remove that file first")
    if part not in PARTS or (part != "whole" and row.write is None):
        legal = ", ".join(PARTS) if row.write else "whole"
        raise InputError(f"{row.title} has no part {part[:40]!r}", f"choose one of {legal}")
    if words := row.refusal(card.spec):
        takes = ", ".join(other.name for other in EXPORTS.values() if not other.refusal(card.spec))
        raise InputError(f"{card.name} cannot be written for {row.title}: {words}", f"formats that can: {takes}")
    return row


def export_model(
    checkpoint_path: Path,
    dest: Path,
    format: str,
    *,
    part: str = "whole",
    report: Report | None = None,
) -> Path:
    """Write a checkpoint in a format of `EXPORTS` and return `dest`; beside it goes `NAME.licence.txt`.

    `part` is of `PARTS`, for programs. `report` gets a sentence for each thing that the format cannot hold, and for
    programs the measured difference. A file appears whole or not at all. Raises `InputError` where the format does
    not take the model or `dest` is taken, `CheckpointError` for a damaged model or a full disk."""
    dest = Path(dest)
    card = read_card(checkpoint_path)
    row = check_export(card, dest, format, part)
    tell = report or (lambda text: None)
    G = load_generator(card.path)
    try:
        with runs.replacing(dest) as temporary:
            if row.save is not None:
                is_theirs = card.has_discriminator and card.discriminator.kind == "own"  # other tools know no other
                D = load_discriminator(card.path) if is_theirs else None
                row.save(G, D, temporary, facts_of(card), tell)
            else:
                assert row.write is not None
                _tell_difference(row.write(G, temporary, part, facts_of(card)), tell)
        runs.write_bytes(dest.with_name(dest.stem + SIDECAR), licence_text(card).encode("utf-8"))
    except OSError as error:
        words = f"{dest} could not be written: {reason(error)}"
        raise CheckpointError(words, "free some disk space; nothing was lost") from error
    return dest


def _tell_difference(difference: float | None, tell: Report) -> None:
    if difference is None:
        tell("the file was not tried: python -m pip install onnxruntime to have it compared with the model")
    else:
        tell(f"compared with the model: largest difference {difference:.1e}, where pictures range from -1 to 1")
