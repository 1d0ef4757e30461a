"""Rows of settings to start from. A preset changes options of `TrainConfig`; everything else keeps its default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ganlib.base.errors import InputError
from ganlib.training.config import SHAPES, TrainConfig


@dataclass(frozen=True)
class Preset:
    """One row."""

    title: str
    """For people."""
    words: str
    """What it is for, and about what it costs."""
    changes: Mapping[str, Any]
    """Options of `TrainConfig` and their values."""
    needs_model: bool = False
    """Whether it starts from a model's weights, which `resume` has to name."""

    def changes_for(self, arch: str | None) -> dict[str, Any]:
        """Return its changes beside a family of networks that was chosen: sizes and learning rates were chosen for its
        own family, and are left out beside another one."""
        mine = self.changes.get("arch", TrainConfig.arch)
        of_family = {*SHAPES, "glr", "dlr", "betas"} if arch not in (None, mine) else set()
        return {name: value for name, value in self.changes.items() if name not in of_family}


_SMALL = {"cbase": 4096, "cmax": 128, "z_dim": 256, "w_dim": 256}
PRESETS: dict[str, Preset] = {
    "quick": Preset(
        "Quick look", "Minutes on any machine: blurred shapes and colours that show whether the data suit.",
        {"kimg": 5.0, "snap": 1.0, "tick": 0.25, "batch": 8, "mirror": True, "cbase": 2048, "cmax": 128, "z_dim": 128,
         "w_dim": 128, "aug": "noaug", "glr": 0.002, "dlr": 0.002, "ema_kimg": 1.0},
    ),
    "cpu": Preset(
        "Without a GPU", "A night or two on a processor, for pictures of 32 or 64 px.",
        {"kimg": 400.0, "snap": 4.0, "tick": 0.5, "batch": 8, "mirror": True, "cbase": 2048, "cmax": 128, "z_dim": 256,
         "w_dim": 256, "aug": "noaug", "glr": 0.002, "dlr": 0.002, "ema_kimg": 4.0},
    ),
    "gpu-10gb": Preset(
        "Graphics card, 10 GB", "A day or more, up to 256 px in full width or 512 px in half.",
        {"kimg": 5000.0, "snap": 50.0, "tick": 4.0, "batch": 16, "batch_gpu": 8, "mirror": True, "cbase": 16384},
    ),
    "gpu-24gb": Preset(
        "Graphics card, 24 GB", "Days, up to 1024 px.",
        {"kimg": 10000.0, "snap": 50.0, "tick": 4.0, "batch": 32, "batch_gpu": 16, "mirror": True, "cbase": 32768},
    ),
    "gpu-80gb": Preset(
        "Graphics card, 80 GB", "A day, up to 1024 px.",
        {"kimg": 25000.0, "snap": 100.0, "tick": 4.0, "batch": 64, "mirror": True, "cbase": 32768},
    ),
    "transfer": Preset(
        "From a trained model", "Few pictures, few hours: starts from the weights of a model that you choose.",
        {"kimg": 500.0, "snap": 10.0, "tick": 1.0, "mirror": True, "aug": "ada", "resume_kimg": 0.0, "freezed": 4},
        needs_model=True,
    ),
    "r3gan": Preset(
        "Relativistic loss (R3GAN)", "StyleGAN2's networks with a loss that needs no tricks: R1 and R2 in each step.",
        {"kimg": 1000.0, "loss": "r3gan", "aug": "noaug", "pl_weight": 0.0, "style_mix": 0.0, "mirror": True, **_SMALL},
    ),
    "dcgan": Preset(
        "DCGAN, baseline", "The classic without batch normalisation: quick, rough, good to learn from.",
        {"arch": "dcgan", "kimg": 300.0, "snap": 10.0, "bn_G": False, "bn_D": False},
    ),
    "dcgan-bn-g": Preset(
        "DCGAN, batch normalisation in G", "The form that works best on small sets.",
        {"arch": "dcgan", "kimg": 300.0, "snap": 10.0, "bn_G": True, "bn_D": False},
    ),
    "dcgan-bn-gd": Preset(
        "DCGAN, batch normalisation in G and D", "As in the paper. It tends to collapse: watch the doctor.",
        {"arch": "dcgan", "kimg": 300.0, "snap": 10.0, "bn_G": True, "bn_D": True},
    ),
    "dcgan-curated": Preset(
        "DCGAN, curated set", "For a set cleaned by hand: upsampling with convolutions, pictures mirrored.",
        {"arch": "dcgan", "kimg": 300.0, "snap": 10.0, "bn_G": True, "upsampling": "nearest", "mirror": True},
    ),
    "progan": Preset(
        "ProGAN", "Grows from 4 × 4 to full size, each resolution faded in.",
        {"arch": "progan", "kimg": 600.0, "snap": 20.0, "cbase": 4096, "cmax": 128, "z_dim": 256, "mirror": True},
    ),
}  # fmt: skip


def with_preset(name: str, given: Mapping[str, Any]) -> TrainConfig:
    """Return the configuration of a preset with the options in `given` in place of its own. Raises `InputError` for an
    unknown preset, and as `TrainConfig.from_dict`."""
    if name not in PRESETS:
        raise InputError(f"unknown preset {name!r}", f"known: {', '.join(PRESETS)}")
    return TrainConfig.from_dict({**PRESETS[name].changes_for(given.get("arch")), **given})
