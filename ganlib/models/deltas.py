"""A model as what it differs by from another: small files of tuned models.

    file.safetensors    for every tensor that differs, `NAME` int8 and `NAME.scale` float32, one scale for each row
    header              `latent-atelier-delta`: format, parent (title, digest, licence), title, source, licence, data

Tuning changes weights little, so eight bits of the change are as good as the whole: the error of a number is at most
1/254 of the largest change in its row.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ganlib.base.errors import CheckpointError
from ganlib.base.filesystem import check_regular, reason
from ganlib.models import checkpoints, rights
from ganlib.models.checkpoints import Checkpoint
from ganlib.networks.base import Generator
from ganlib.runs import replacing

KEY = "latent-atelier-delta"
FORMAT = 1
_STEPS = 127
_FIELDS = ("title", "source", "licence", "data")


def save_delta(path: Path, tuned: Checkpoint, parent: Checkpoint) -> Path:
    """Write what `tuned` differs by from `parent`; a tensor that does not differ takes no room.

    Raises CheckpointError for models of different shapes, or when the disk is full."""
    own, other = (checkpoints.load_generator(card.path).state_dict() for card in (parent, tuned))
    if own.keys() != other.keys() or any(own[name].shape != other[name].shape for name in own):
        raise CheckpointError(f"{tuned.name} has other tensors than {parent.name}", "name the model it was tuned from")
    tensors: dict[str, Tensor] = {}
    for name, tensor in other.items():
        change = tensor.double() - own[name].double()
        if change.any():
            tensors[name], tensors[f"{name}.scale"] = _coarse(change)
    licence = parent.licence or rights.UNKNOWN.id
    about = {
        "format": FORMAT, "parent": {"title": parent.title, "digest": parent.digest, "licence": licence},
        **{name: getattr(tuned, name) for name in _FIELDS},
    }  # fmt: skip
    try:
        with replacing(Path(path)) as temporary:
            safetensors.torch.save_file(tensors, temporary, metadata={KEY: json.dumps(about)})
            temporary.chmod(0o644)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} could not be written: {reason(error)}", "free some disk space") from error
    return Path(path)


def is_delta(path: Path) -> bool:
    """Whether a file is a delta, by its header."""
    try:
        check_regular(path)
        with safe_open(str(path), "pt") as file:
            return KEY in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False


def restore_delta(path: Path, folder: Path, dest: Path) -> Checkpoint:
    """Make the whole model of a delta, with its parent, which is looked for in `folder` by its digest.

    Raises CheckpointError where the parent is not there, the file is damaged, or `dest` exists."""
    path, dest = Path(path), Path(dest)
    if dest.exists():
        raise CheckpointError(f"{dest} is there already", "name another --dest")
    try:
        check_regular(path)
        with safe_open(str(path), "pt") as file:
            about = json.loads((file.metadata() or {})[KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
        wanted, words = about["parent"]["digest"], {name: str(about.get(name, ""))[:2000] for name in _FIELDS}
        version = about["format"]
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path.name} is no delta, or it is damaged", "copy it again") from error
    if version != FORMAT:
        raise CheckpointError(f"{path.name} has format {str(version)[:20]}", "update this studio")
    parent = next((card for card in checkpoints.list_checkpoints(Path(folder))[0] if card.digest == wanted), None)
    if parent is None:
        title = str(about["parent"].get("title", "")) or "a model"
        raise CheckpointError(
            f"{path.name} is what a model differs by from {title[:80]}, which is not in {folder}",
            f"put the model with digest {str(wanted)[:12]}… there first",
        )
    generator = checkpoints.load_generator(parent.path)
    _apply(generator, tensors, path.name)
    licence = rights.stricter(words["licence"], parent.licence or rights.UNKNOWN.id)
    return checkpoints.save_snapshot(
        dest, G_ema=generator, kimg=parent.kimg, title=words["title"], source=words["source"], licence=licence,
        data=words["data"], parents=[{"title": parent.title, "digest": parent.digest, "licence": licence}],
        classes=parent.classes,
    )  # fmt: skip


def _coarse(change: Tensor) -> tuple[Tensor, Tensor]:
    """A change as int8 steps of the same shape, and the size of a step, float32, one for each row."""
    rows = change.reshape(change.shape[0] if change.ndim > 1 else 1, -1)
    scale = (rows.abs().amax(dim=1, keepdim=True) / _STEPS).float()
    steps = (rows / scale.double().clamp(min=1e-300)).round().clamp(-_STEPS, _STEPS).to(torch.int8)
    return steps.reshape(change.shape).contiguous(), scale.reshape(-1)


def _apply(generator: Generator, tensors: dict[str, Tensor], name: str) -> None:
    state: dict[str, Any] = generator.state_dict()
    for key, steps in tensors.items():
        if key.endswith(".scale") and key.removesuffix(".scale") in tensors:
            continue
        own, scale = state.get(key), tensors.get(f"{key}.scale")
        rows = 1 if own is None or own.ndim < 2 else own.shape[0]
        if own is None or scale is None or steps.shape != own.shape or scale.shape != (rows,):
            raise CheckpointError(f"{name}: {key[:80]} does not fit the model", "the delta is of another model")
        change = steps.double().reshape(rows, -1) * scale.double()[:, None]
        state[key] = (own.double() + change.reshape(own.shape)).to(own.dtype)
    generator.load_state_dict(state)
