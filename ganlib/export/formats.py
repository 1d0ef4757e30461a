"""The table of formats, and the one door to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ganlib import runs
from ganlib.checkpoints import Checkpoint, load_discriminator, load_generator, read_card
from ganlib.errors import CheckpointError, InputError
from ganlib.export.about import facts_of, licence_text
from ganlib.export.graphs import OPSET, PARTS, Writer, write_onnx, write_torch
from ganlib.export.tensors import Report, nvidia_file, nvidia_refusal, rosinality_file, rosinality_refusal
from ganlib.networks.base import Discriminator, Generator, GeneratorSpec

SIDECAR = ".licence.txt"
Tables = Callable[[Generator, Discriminator | None, Report], dict[str, Any]]


@dataclass(frozen=True)
class Export:
    """One format that models can be written in: a table of tensors, or a program."""

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
    tables: Tables | None = None
    """(G, D or None, report) → what a `.pt` file holds; None where the format is a program."""
    write: Writer | None = None
    """(G, path, part, facts) → largest difference from the generator, None where it was not tried."""

    @property
    def has_discriminator(self) -> bool:
        """Whether a file has the discriminator too, so that training can go on."""
        return self.tables is not None


def _anything(spec: GeneratorSpec) -> str:
    return ""


EXPORTS: dict[str, Export] = {
    row.name: row
    for row in (
        Export(
            "nvidia", ".pt", "NVIDIA's tensors",
            "For StyleGAN2-ADA, StyleGAN3 and tools built on them: state dicts under NVIDIA's names, and the "
            "arguments that their classes are made by.",
            nvidia_refusal, tables=nvidia_file,
        ),
        Export(
            "rosinality", ".pt", "rosinality's StyleGAN2",
            "For tools built on stylegan2-pytorch: {g_ema, latent_avg, d} as its training writes them.",
            rosinality_refusal, tables=rosinality_file,
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
            if row.tables is not None:
                D = load_discriminator(card.path) if card.has_discriminator else None
                _write_tables(row.tables(G, D, tell), facts_of(card), temporary)
            else:
                assert row.write is not None
                _tell_difference(row.write(G, temporary, part, facts_of(card)), tell)
        runs.write_bytes(dest.with_name(dest.stem + SIDECAR), licence_text(card).encode("utf-8"))
    except OSError as error:
        raise CheckpointError(f"{dest} could not be written: {error}", "free some disk space; nothing was lost") from (
            error
        )
    return dest


def _write_tables(tables: Mapping[str, Any], facts: Mapping[str, str], path: Path) -> None:
    with path.open("wb") as stream:  # by name, PyTorch would write the temporary one into the archive
        torch.save({**tables, "about": dict(facts)}, stream)


def _tell_difference(difference: float | None, tell: Report) -> None:
    if difference is None:
        tell("the file was not tried: python -m pip install onnxruntime to have it compared with the model")
    else:
        tell(f"compared with the model: largest difference {difference:.1e}, where pictures range from -1 to 1")
