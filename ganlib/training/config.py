"""Everything that a training run is told. The command line and the page's form are made from this dataclass."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ganlib import networks
from ganlib.base.errors import InputError
from ganlib.base.options import Options, option
from ganlib.metrics.kinds import KINDS
from ganlib.training.augment.augmentations import AUGMENTATIONS, PIPES
from ganlib.training.losses import LOSSES

SHAPES = {
    "cbase": "channel_base", "cmax": "channel_max", "map_depth": "mapping_layers",
    **{name: name for name in ("z_dim", "w_dim", "ngf", "ndf", "bn_G", "bn_D", "upsampling")},
}  # fmt: skip
"""Fields of `TrainConfig` that decide the networks' shapes → what the families' `make_spec` and specs call them. A
family has those that its `make_spec` takes."""
# Where neither the loss nor the discriminator nor the family says something else.
USUAL: dict[str, Any] = {
    "discriminator": "own", "loss": "logistic", "r1_interval": 16, "pl_weight": 2.0, "energy_weight": 0.0,
    "reuse_fakes": False, "glr": 2.5e-3, "dlr": 2.5e-3, "betas": (0.0, 0.99), "batch": 16, "aug": "noaug",
}  # fmt: skip
FIRST = "stylegan2"  # the family that is trained where none is named
LARGEST = 1e6  # of kimg, and of every weight of a penalty: far beyond use


def usual(name: str) -> str:
    """What an option is where nothing is said of it, as in `0.0025; DCGAN 0.0002; projected 0.002`: for the family that
    is trained where none is named, for those that differ, and for discriminators that have a value of their own."""
    values: dict[str, list[str]] = {}
    for family in sorted(map(networks.architecture, networks.TRAINABLE), key=lambda row: row.name != FIRST):
        known = inspect.signature(family.make_spec).parameters
        if name in family.train_defaults or name in USUAL:
            value = family.train_defaults.get(name, USUAL.get(name))
        elif SHAPES.get(name) in known:
            value = known[SHAPES[name]].default
        else:
            continue
        values.setdefault(_written(value), []).append(family.title)
    first = networks.architecture(FIRST).title
    usual = next((value for value, who in values.items() if first in who), "")
    families = ", ".join(f"{', '.join(who)} {value}" for value, who in values.items() if first not in who)
    judges = ", ".join(
        f"{row.name} {_written(row.train_defaults[name])}"
        for row in networks.DISCRIMINATORS.values()
        if name in row.train_defaults
    )
    return "; ".join(filter(None, (usual, families, judges)))


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(f"{number:g}" for number in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class TrainConfig(Options):
    """Options of one run. Cross-field rules live in `validate`; a field's metadata hold its meaning (`help`), the
    `group` it is shown in, and `choices` where there are few. None means the family's own value (`resolve`)."""

    verb = "train"

    data: str = option("", "data set: a zip or folder made by `prepare`", group="Data", is_required=True)
    mirror: bool = option(False, "also show every picture mirrored left to right", group="Data")
    mirrory: bool = option(False, "also show every picture mirrored top to bottom", group="Data")
    cond: bool = option(False, "train with the data set's class labels", group="Data")
    subset: int | None = option(
        None, "use only this many pictures, chosen by the seed", group="Data", low=1, high=10**9
    )
    holdout: int = option(
        0,
        "pictures kept out of training, to see whether D only remembers the others",
        group="Data",
        low=0,
        high=10**6,
    )
    workers: int = option(
        1, "threads that prepare pictures beside the training; 0 does it in between", group="Data", low=0, high=64
    )

    kimg: float = option(
        1000.0, "length of the run in thousands of real pictures shown", group="Length", above=0, high=LARGEST
    )
    batch: int | None = option(None, "pictures per step, all processes together", group="Length", low=1, high=4096)
    snap: float = option(10.0, "kimg between snapshots", group="Length", above=0, high=LARGEST)
    tick: float = option(1.0, "kimg between lines of statistics", group="Length", above=0, high=LARGEST)
    metrics: str = option(
        "none", "metrics of every snapshot, separated by commas, or none", group="Length", made_of=KINDS
    )

    arch: str = option(FIRST, "family of networks", group="Network", choices=networks.TRAINABLE)
    cbase: int | None = option(
        None,
        f"channel_base: feature maps at resolution r = cbase / r ({usual('cbase')})",
        group="Network",
        low=64,
        high=2**18,
    )
    cmax: int | None = option(
        None, f"channel_max: most feature maps at any resolution ({usual('cmax')})", group="Network", low=4, high=4096
    )
    z_dim: int | None = option(None, f"length of z ({usual('z_dim')})", group="Network", low=4, high=4096)
    w_dim: int | None = option(None, f"length of w ({usual('w_dim')})", group="Network", low=4, high=4096)
    map_depth: int | None = option(
        None, f"layers of the mapping network ({usual('map_depth')})", group="Network", low=1, high=32
    )
    ngf: int | None = option(
        None, f"feature maps of G at half the resolution ({usual('ngf')})", group="Network", low=1, high=1024
    )
    ndf: int | None = option(
        None, f"feature maps of D at half the resolution ({usual('ndf')})", group="Network", low=1, high=1024
    )
    bn_G: bool | None = option(None, f"batch normalisation in G ({usual('bn_G')})", group="Network")
    bn_D: bool | None = option(
        None, f"batch normalisation in D, which tends to collapse ({usual('bn_D')})", group="Network"
    )
    upsampling: str | None = option(
        None, f"how G doubles the picture ({usual('upsampling')})", group="Network", choices=("transposed", "nearest")
    )

    discriminator: str | None = option(
        None,
        "; ".join(f"{row.name} {row.about}" for row in networks.DISCRIMINATORS.values())
        + f" ({usual('discriminator')})",
        group="Network",
        choices=networks.DISCRIMINATORS,
    )
    d_width: int | None = option(
        None, "projected: channels of the finest scale (64 on CUDA, 32 elsewhere)", group="Network", low=4, high=512
    )
    feature_side: int | None = option(
        None,
        "projected: side at which its eyes see pictures in pixels (128 to 256)",
        group="Network",
        low=64,
        high=512,
    )

    loss: str | None = option(
        None,
        "logistic (non-saturating; bce is the same), wgan-gp, r3gan (relativistic with R1 and R2), hinge (projected)",
        group="Loss",
        choices=LOSSES,
    )
    glr: float | None = option(None, f"learning rate of G, Adam ({usual('glr')})", group="Loss", above=0, high=1)
    dlr: float | None = option(None, f"learning rate of D, Adam ({usual('dlr')})", group="Loss", above=0, high=1)
    betas: tuple[float, ...] | None = option(None, f"Adam's betas ({usual('betas')})", group="Loss")
    gamma: float | None = option(
        None, "weight of R1 (0.0002 · resolution² / batch; DCGAN and wgan-gp 0)", group="Loss", low=0, high=LARGEST
    )
    r1_interval: int | None = option(None, "steps between two R1 steps (16; r3gan 1)", group="Loss", low=1, high=1024)
    gp_weight: float = option(10.0, "wgan-gp: weight of the gradient penalty", group="Loss", low=0, high=LARGEST)
    drift: float = option(
        1e-3, "wgan-gp: weight of the square of D's output on reals", group="Loss", low=0, high=LARGEST
    )
    style_mix: float = option(
        0.9, "probability of mixing two styles in a picture, where there are styles", group="Loss", low=0, high=1
    )
    pl_weight: float | None = option(
        None,
        f"weight of the path-length penalty, where there are styles; 0 is off ({usual('pl_weight')})",
        group="Loss",
        low=0,
        high=LARGEST,
    )
    energy_weight: float | None = option(
        None,
        "weight of the energy distance between generated and real pictures in D's features, against pictures that are "
        f"all alike ({usual('energy_weight')})",
        group="Loss",
        low=0,
        high=LARGEST,
    )
    reuse_fakes: bool | None = option(
        None,
        f"D learns from the pictures of G's own step instead of new ones: faster ({usual('reuse_fakes')})",
        group="Loss",
    )
    ema_kimg: float | None = option(
        None, "half-life of the moving-average weights in kimg (batch · 10 / 32)", group="Loss", low=0, high=LARGEST
    )
    ema_rampup: float | None = option(
        0.05, "the half-life is at most this share of the kimg so far", group="Loss", low=0, high=LARGEST
    )

    aug: str | None = option(
        None,
        "; ".join(f"{name} {row.about}" for name, row in AUGMENTATIONS.items()) + f" ({usual('aug')})",
        group="Augmentation",
        choices=AUGMENTATIONS,
    )
    augpipe: str = option("bgc", "kinds of augmentation", group="Augmentation", choices=tuple(PIPES))
    target: float = option(
        0.6, "ada: r_t, the share by which D is sure of the reals, to hold", group="Augmentation", above=0, below=1
    )
    p: float | None = option(
        None, "strength for fixed, or where ada starts (0 or the model's own)", group="Augmentation", low=0, high=1
    )
    ada_kimg: float | None = option(
        None,
        "ada: kimg in which p can go from 0 to 1 (500; 100 from a model's weights)",
        group="Augmentation",
        above=0,
        high=LARGEST,
    )

    fade_kimg: float | None = option(
        None, "ProGAN: kimg in which a resolution fades in", group="Growth", above=0, high=LARGEST
    )
    tune_kimg: float | None = option(
        None, "ProGAN: kimg at each resolution after its fade-in", group="Growth", above=0, high=LARGEST
    )
    phase_batches: tuple[int, ...] = option(
        (), "ProGAN: batch at 4, 8, 16, … px (the batch at all)", group="Growth", low=1, high=4096
    )

    resume: str | None = option(
        None, "a run directory or training state to continue, or a model to start from", group="Start"
    )
    resume_kimg: float | None = option(
        None,
        "count from this kimg (the model's own where its shape is the same)",
        group="Start",
        low=0,
        high=LARGEST,
    )
    freezed: int = option(
        0, "Freeze-D: layers of D, counted from the picture, that stay as they are", group="Start", low=0, high=100
    )
    seed: int = option(0, "all randomness of the run flows from it", group="Start", low=0, high=2**31 - 1)

    device: str = option("auto", "auto, cuda, mps or cpu", group="Machine")
    precision: str = option(
        "auto",
        "auto is mixed (half and single) on CUDA, and on processors that are faster in bfloat16",
        group="Machine",
        choices=("auto", "single", "mixed"),
    )
    batch_gpu: int | None = option(
        None, "pictures at once in a process; gradients of several are added up", group="Machine", low=1, high=4096
    )
    save_state: bool = option(True, "keep the optimisers' state for exact resume beside the snapshots", group="Machine")

    title: str = option("", "name of the model for people", group="Model card")
    licence: str = option("", "licence of the weights, written into every snapshot", group="Model card")

    def check(self) -> None:
        if not self.data:
            raise InputError("no data set given", "name one with --data F.zip; make it with `python -m ganlib prepare`")
        aug = AUGMENTATIONS[self.aug] if self.aug else None
        if aug is not None and aug.needs_p and self.p is None:
            raise InputError(f"aug = {self.aug} needs a strength", "give one with --p, such as 0.2")
        if aug is not None and not aug.takes_p and self.p is not None:
            why = "augmentation is off" if self.aug == "noaug" else f"{self.aug} has no strength"
            raise InputError(f"p is given but {why}", "use --aug fixed with --p, or leave --p out")
        if self.betas is not None and (len(self.betas) != 2 or not all(0 <= b < 1 for b in self.betas)):
            raise InputError(f"betas = {self.betas} is not possible", "give two numbers from 0 up, such as 0,0.99")
        if self.kimg * 1000 < (self.batch or 1):
            step = self.batch or 1
            raise InputError(f"kimg = {self.kimg:g} is less than a step of {step} pictures", "give a larger --kimg")

    @classmethod
    def refusal(cls, name: str, value: Any) -> InputError | None:
        """Say of a family that is shown alone that it is."""
        if name != "arch" or value not in networks.ARCHITECTURES:
            return None
        hint = f"choose one of {', '.join(networks.TRAINABLE)}, or import a model that was trained elsewhere"
        return InputError(f"{networks.ARCHITECTURES[value].title} models are shown here, not trained", hint)

    def resolve(self) -> TrainConfig:
        """Return the configuration with the family's own values where nothing was said; raises as `validate`."""
        self.validate()
        own = own_defaults({name: getattr(self, name) for name in ("arch", "discriminator", "loss")})
        return dataclasses.replace(self, **{name: v for name, v in own.items() if getattr(self, name) is None})

    def r1_gamma(self, resolution: int) -> float:
        """Return the R1 weight of a resolved configuration: given, or the heuristic 0.0002 · resolution² / batch."""
        assert self.batch is not None
        return self.gamma if self.gamma is not None else 0.0002 * resolution**2 / self.batch

    def ema_nimg(self) -> float:
        """Return the moving average's half-life in pictures, of a resolved configuration."""
        assert self.batch is not None
        return 1000.0 * (self.ema_kimg if self.ema_kimg is not None else self.batch * 10 / 32)


def own_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what options are where nothing is said of them, for the `arch`, `discriminator` and `loss` among `values`:
    what goes with the loss counts most, then with the discriminator, then with the family. Unknown kinds add nothing.
    """
    own = dict(USUAL)
    row = networks.ARCHITECTURES.get(values["arch"])
    family = dict(row.train_defaults) if row is not None else {}
    own |= family
    own["discriminator"] = values.get("discriminator") or own["discriminator"]
    judge = networks.DISCRIMINATORS.get(own["discriminator"])
    own |= judge.train_defaults if judge is not None else {}
    if family.get("discriminator") == own["discriminator"]:
        own |= family  # it was made for this discriminator, and knows better
    own["loss"] = values.get("loss") or own["loss"]
    own |= LOSSES[own["loss"]].defaults if own["loss"] in LOSSES else {}
    known = {f.name for f in dataclasses.fields(TrainConfig)}
    return {name: value for name, value in own.items() if name in known}
