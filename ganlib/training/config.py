"""Everything that a training run is told. The command line and the page's form are made from this dataclass."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ganlib import networks
from ganlib.errors import InputError
from ganlib.options import check_types
from ganlib.training.ada import PIPES

GROUPS = ("Data", "Length", "Network", "Loss", "Augmentation", "Growth", "Start", "Machine", "Model card")
LOSSES = ("logistic", "bce", "wgan-gp", "r3gan")
TRAINABLE = tuple(name for name, row in networks.ARCHITECTURES.items() if row.trainable)
LARGEST = 1e6  # of kimg, and of every weight of a penalty: far beyond use


def _option(group: str, default: Any, help: str, **metadata: Any) -> Any:
    assert group in GROUPS
    return field(default=default, metadata={"group": group, "help": help, **metadata})


@dataclass(frozen=True)
class TrainConfig:
    """Options of one run. Cross-field rules live in `validate`; a field's metadata hold its meaning (`help`), the
    `group` it is shown in, and `choices` where there are few. None means the family's own value (`resolved`)."""

    data: str = _option("Data", "", "data set: a zip or folder made by `prepare`")
    mirror: bool = _option("Data", False, "also show every picture mirrored left to right")
    mirrory: bool = _option("Data", False, "also show every picture mirrored top to bottom")
    cond: bool = _option("Data", False, "train with the data set's class labels")
    subset: int | None = _option("Data", None, "use only this many pictures, chosen by the seed")
    holdout: int = _option("Data", 0, "pictures kept out of training, to see whether D only remembers the others")
    workers: int = _option("Data", 1, "threads that prepare pictures beside the training; 0 does it in between")

    kimg: float = _option("Length", 1000.0, "length of the run in thousands of real pictures shown")
    batch: int | None = _option("Length", None, "pictures per step, all processes together")
    snap: float = _option("Length", 10.0, "kimg between snapshots")
    tick: float = _option("Length", 1.0, "kimg between lines of statistics")
    metrics: str = _option("Length", "none", "metrics of every snapshot, separated by commas, or none")

    arch: str = _option("Network", "stylegan2", "family of networks", choices=TRAINABLE)
    cbase: int | None = _option("Network", None, "channel_base: feature maps at resolution r = cbase / r (16384)")
    cmax: int | None = _option("Network", None, "channel_max: most feature maps at any resolution (512)")
    z_dim: int | None = _option("Network", None, "length of z (512; DCGAN 100)")
    w_dim: int | None = _option("Network", None, "length of w (512)")
    map_depth: int | None = _option("Network", None, "layers of the mapping network (2)")
    ngf: int | None = _option("Network", None, "DCGAN: feature maps of G at half the resolution (64)")
    ndf: int | None = _option("Network", None, "DCGAN: feature maps of D at half the resolution (64)")
    bn_G: bool | None = _option("Network", None, "DCGAN: batch normalisation in G (yes)")
    bn_D: bool | None = _option("Network", None, "DCGAN: batch normalisation in D (no: it tends to collapse)")
    upsampling: str | None = _option(
        "Network", None, "DCGAN: how G doubles the picture", choices=("transposed", "nearest")
    )

    loss: str | None = _option(
        "Loss", None, "logistic (non-saturating; bce is the same), wgan-gp, or r3gan (relativistic with R1 and R2)",
        choices=LOSSES,
    )  # fmt: skip
    glr: float | None = _option("Loss", None, "learning rate of G, Adam (0.0025; ProGAN 0.001, DCGAN 0.0002)")
    dlr: float | None = _option("Loss", None, "learning rate of D, Adam (0.0025; ProGAN 0.001, DCGAN 0.0002)")
    betas: tuple[float, ...] | None = _option("Loss", None, "Adam's betas (0,0.99; DCGAN 0.5,0.999)")
    gamma: float | None = _option("Loss", None, "weight of R1 (0.0002 · resolution² / batch; DCGAN and wgan-gp 0)")
    r1_interval: int | None = _option("Loss", None, "steps between two R1 steps (16; r3gan 1)")
    gp_weight: float = _option("Loss", 10.0, "wgan-gp: weight of the gradient penalty")
    drift: float = _option("Loss", 1e-3, "wgan-gp: weight of the square of D's output on reals")
    style_mix: float = _option("Loss", 0.9, "probability of mixing two styles in a picture, where there are styles")
    pl_weight: float = _option("Loss", 2.0, "weight of the path-length penalty, where there are styles; 0 is off")
    ema_kimg: float | None = _option("Loss", None, "half-life of the moving-average weights in kimg (batch · 10 / 32)")
    ema_rampup: float | None = _option("Loss", 0.05, "the half-life is at most this share of the kimg so far")

    aug: str | None = _option(
        "Augmentation", None, "ada adapts the strength, fixed keeps it, noaug is off (ada; DCGAN and ProGAN noaug)",
        choices=("noaug", "ada", "fixed"),
    )  # fmt: skip
    augpipe: str = _option("Augmentation", "bgc", "kinds of augmentation", choices=tuple(PIPES))
    target: float = _option("Augmentation", 0.6, "ada: r_t, the share by which D is sure of the reals, to hold")
    p: float | None = _option("Augmentation", None, "strength for fixed, or where ada starts (0 or the model's own)")
    ada_kimg: float | None = _option(
        "Augmentation", None, "ada: kimg in which p can go from 0 to 1 (500; 100 from a model's weights)"
    )

    fade_kimg: float | None = _option("Growth", None, "ProGAN: kimg in which a resolution fades in")
    tune_kimg: float | None = _option("Growth", None, "ProGAN: kimg at each resolution after its fade-in")
    phase_batches: tuple[int, ...] = _option("Growth", (), "ProGAN: batch at 4, 8, 16, … px (the batch at all)")

    resume: str | None = _option(
        "Start", None, "a run directory or training state to continue, or a model to start from"
    )
    resume_kimg: float | None = _option(
        "Start", None, "count from this kimg (the model's own where its shape is the same)"
    )
    freezed: int = _option("Start", 0, "Freeze-D: layers of D, counted from the picture, that stay as they are")
    seed: int = _option("Start", 0, "all randomness of the run flows from it")

    device: str = _option("Machine", "auto", "auto, cuda, mps or cpu")
    precision: str = _option(
        "Machine", "auto", "auto is mixed (half and single) on CUDA and single elsewhere",
        choices=("auto", "single", "mixed"),
    )  # fmt: skip
    batch_gpu: int | None = _option("Machine", None, "pictures at once in a process; gradients of several are added up")
    save_state: bool = _option("Machine", True, "keep the optimisers' state for exact resume beside the snapshots")

    title: str = _option("Model card", "", "name of the model for people")
    licence: str = _option("Model card", "", "licence of the weights, written into every snapshot")

    def validate(self) -> TrainConfig:
        """Return self, or raise `InputError` that names the option and its legal values."""
        check_types(type(self), {f.name: getattr(self, f.name) for f in dataclasses.fields(self)})
        if not self.data:
            raise InputError("no data set given", "name one with --data F.zip; make it with `python -m ganlib prepare`")
        row = networks.ARCHITECTURES.get(self.arch)
        if row is not None and not row.trainable:
            hint = f"choose one of {', '.join(TRAINABLE)}, or import a model that was trained elsewhere"
            raise InputError(f"{row.title} models are shown here, not trained", hint)
        for f in dataclasses.fields(self):
            value, choices = getattr(self, f.name), f.metadata.get("choices")
            if choices and value is not None and value not in choices:
                raise InputError(f"{f.name} = {value!r} is not known", f"choose one of {', '.join(choices)}")
        self._check_numbers()
        if self.aug == "fixed" and self.p is None:
            raise InputError("aug = fixed needs a strength", "give one with --p, such as 0.2")
        if self.aug == "noaug" and self.p is not None:
            raise InputError("p is given but augmentation is off", "use --aug fixed with --p, or leave --p out")
        if self.betas is not None and (len(self.betas) != 2 or not all(0 <= b < 1 for b in self.betas)):
            raise InputError(f"betas = {self.betas} is not possible", "give two numbers from 0 up, such as 0,0.99")
        if any(not 1 <= b <= 4096 for b in self.phase_batches):
            raise InputError(f"phase_batches = {self.phase_batches} is not possible", "use numbers from 1 to 4096")
        if self.kimg * 1000 < (self.batch or 1):
            step = self.batch or 1
            raise InputError(f"kimg = {self.kimg:g} is less than a step of {step} pictures", "give a larger --kimg")
        return self

    def _check_numbers(self) -> None:
        """Refuse numbers outside their range."""
        above_zero = ("kimg", "snap", "tick", "glr", "dlr", "ada_kimg", "fade_kimg", "tune_kimg")
        from_zero = ("gamma", "style_mix", "pl_weight", "ema_kimg", "ema_rampup", "gp_weight", "drift", "resume_kimg")
        for name in (*above_zero, *from_zero):
            value = getattr(self, name)
            if value is None:
                continue
            if not 0 <= value <= LARGEST or (value == 0 and name in above_zero):
                low = "above 0" if name in above_zero else "from 0"
                raise InputError(f"{name} = {value} is not possible", f"use a number {low} to {LARGEST:g}")
        for name in ("style_mix", "p", "glr", "dlr"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"{name} = {value} is not possible", "use a number from 0 to 1")
        if not 0 < self.target < 1:
            raise InputError(f"target = {self.target} is not possible", "use a number between 0 and 1, such as 0.6")
        for name, least, most in (
            ("batch", 1, 4096), ("batch_gpu", 1, 4096), ("cbase", 64, 2**18), ("cmax", 4, 4096), ("z_dim", 4, 4096),
            ("w_dim", 4, 4096), ("map_depth", 1, 32), ("ngf", 1, 1024), ("ndf", 1, 1024), ("seed", 0, 2**31 - 1),
            ("subset", 1, 10**9), ("holdout", 0, 10**6), ("workers", 0, 64), ("r1_interval", 1, 1024),
            ("freezed", 0, 100),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise InputError(f"{name} = {value} is not possible", f"use a whole number from {least} to {most}")

    def resolved(self) -> TrainConfig:
        """Return the configuration with the family's own values where nothing was said; raises as `validate`."""
        self.validate()
        known = {f.name for f in dataclasses.fields(self)}
        own = {k: v for k, v in networks.architecture(self.arch).train_defaults.items() if k in known}
        loss = self.loss or own.get("loss", "logistic")
        own.setdefault("r1_interval", 1 if loss == "r3gan" else 16)
        if loss == "wgan-gp":
            own.setdefault("gamma", 0.0)
        elif loss == "r3gan":
            own["gamma"] = None  # this loss does not work without its penalties
        fill: dict[str, Any] = {name: value for name, value in own.items() if getattr(self, name) is None}
        fill["loss"] = loss
        return dataclasses.replace(self, **fill)

    def r1_gamma(self, resolution: int) -> float:
        """Return the R1 weight of a resolved configuration: given, or the heuristic 0.0002 · resolution² / batch."""
        assert self.batch is not None
        return self.gamma if self.gamma is not None else 0.0002 * resolution**2 / self.batch

    def ema_nimg(self) -> float:
        """Return the moving average's half-life in pictures, of a resolved configuration."""
        assert self.batch is not None
        return 1000.0 * (self.ema_kimg if self.ema_kimg is not None else self.batch * 10 / 32)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; `from_dict` restores it."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Build from JSON data; raises `InputError` on unknown options, then as `validate`."""
        return cls(**check_types(cls, values, hint="see `python -m ganlib train --help`")).validate()
