"""The augmentations of "Training Generative Adversarial Networks with Limited Data" (Karras et al. 2020, appendix B).

Every picture that the discriminator sees passes through `AugmentPipe`. Each augmentation is applied with probability p,
times its own multiplier; as long as p stays below about 0.8 the generator still learns the unaugmented pictures.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ganlib.base.errors import InputError
from ganlib.networks.ops import Rng, draw_noise
from ganlib.training.augment.ada_warp import BLOCK, NUM_BANDS, Warp, band_filters, filter_symmetric

GROUPS: dict[str, tuple[str, ...]] = {
    "blit": ("xflip", "rotate90", "xint"),
    "geom": ("scale", "rotate", "aniso", "xfrac"),
    "color": ("brightness", "contrast", "lumaflip", "hue", "saturation"),
    "filter": ("imgfilter",),
    "noise": ("noise",),
    "cutout": ("cutout",),
}
# Expected power of each octave band of a natural picture, lowest first: the spectrum falls with 1/f.
BAND_POWER = torch.tensor([10.0, 1.0, 1.0, 1.0], dtype=torch.float64, device="cpu") / 13


# ---- Options -------------------------------------------------------------------------------------------------------


def _multiplier(help: str) -> Any:
    return field(default=0.0, metadata={"help": help})


def _size(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class Augmentations:
    """Which augmentations are on, and how strong. The first 14 multiply p: 0 is off, 1 as the paper has it."""

    xflip: float = _multiplier("mirror left to right")
    rotate90: float = _multiplier("turn by a multiple of 90°")
    xint: float = _multiplier("shift by whole pixels")
    scale: float = _multiplier("zoom")
    rotate: float = _multiplier("turn by any angle")
    aniso: float = _multiplier("stretch one axis and squeeze the other")
    xfrac: float = _multiplier("shift by fractions of a pixel")
    brightness: float = _multiplier("add to all channels")
    contrast: float = _multiplier("multiply all channels")
    lumaflip: float = _multiplier("mirror the brightness, keep the hue")
    hue: float = _multiplier("turn the hue")
    saturation: float = _multiplier("multiply the saturation")
    imgfilter: float = _multiplier("amplify or dampen octaves of detail")
    noise: float = _multiplier("add noise")
    cutout: float = _multiplier("blank out a square")
    xint_max: float = _size(0.125, "furthest shift by whole pixels, in picture sides")
    scale_std: float = _size(0.2, "standard deviation of log2 of the zoom")
    rotate_max: float = _size(1.0, "largest angle, in half turns")
    aniso_std: float = _size(0.2, "standard deviation of log2 of the stretch")
    xfrac_std: float = _size(0.125, "standard deviation of the shift, in picture sides")
    brightness_std: float = _size(0.2, "standard deviation of what is added; the picture's range is -1 to 1")
    contrast_std: float = _size(0.5, "standard deviation of log2 of the contrast")
    hue_max: float = _size(1.0, "largest turn of the hue, in half turns")
    saturation_std: float = _size(1.0, "standard deviation of log2 of the saturation")
    imgfilter_bands: tuple[float, ...] = _size((1.0,) * NUM_BANDS, "multiplier of each octave, lowest first")
    imgfilter_std: float = _size(1.0, "standard deviation of log2 of a band's gain")
    noise_std: float = _size(0.1, "scale of the half-normal that the noise's standard deviation is drawn from")
    cutout_size: float = _size(0.5, "side of the blank square, in picture sides")

    def validate(self) -> Augmentations:
        """Return self, or raise `InputError` for a number that is negative or not finite."""
        if len(self.imgfilter_bands) != NUM_BANDS:
            raise InputError(f"imgfilter_bands has {len(self.imgfilter_bands)} numbers", f"give {NUM_BANDS}")
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            for number in value if isinstance(value, tuple) else (value,):
                if not math.isfinite(number) or number < 0:
                    raise InputError(f"{f.name} = {number} is not possible", "use a finite number from 0 up")
        return self

    def any_of(self, group: str) -> bool:
        """Return whether an augmentation of the group is on."""
        return any(getattr(self, name) > 0 for name in GROUPS[group])


def _pipe(*groups: str) -> Augmentations:
    on: dict[str, Any] = {name: 1.0 for group in groups for name in GROUPS[group]}
    return Augmentations(**on)


PIPES: dict[str, Augmentations] = {
    **{group: _pipe(group) for group in GROUPS},
    "b": _pipe("blit"),
    "bg": _pipe("blit", "geom"),
    "bgc": _pipe("blit", "geom", "color"),
    "bgcf": _pipe("blit", "geom", "color", "filter"),
    "bgcfn": _pipe("blit", "geom", "color", "filter", "noise"),
    "bgcfnc": _pipe("blit", "geom", "color", "filter", "noise", "cutout"),
}


# ---- Random numbers and matrices -----------------------------------------------------------------------------------


class _Dice:
    """One row of random numbers per picture, float64 on the CPU; or, to compare with known numbers, every one of them
    at a given percentile (a normal's being erfinv(2P - 1))."""

    def __init__(self, count: int, rng: Rng, percentile: float | None) -> None:
        self.count, self.rng, self.percentile = count, rng, percentile

    def _draw(self, draw: Callable[..., Tensor], columns: int) -> Tensor:
        if self.rng is None:
            return draw(self.count, columns).double()
        if isinstance(self.rng, torch.Generator):
            return draw(self.count, columns, generator=self.rng, device=self.rng.device).cpu().double()
        assert len(self.rng) == self.count, "one generator per picture"
        return torch.stack([draw(columns, generator=g, device=g.device).cpu().double() for g in self.rng])

    def uniform(self, low: float = 0.0, high: float = 1.0, *, columns: int = 1) -> Tensor:
        """Return U(low, high) `[N, columns]`."""
        if self.percentile is not None:
            u = torch.full([self.count, columns], self.percentile, dtype=torch.float64)
        else:
            u = self._draw(torch.rand, columns)
        return low + (high - low) * u

    def normal(self, std: float, *, columns: int = 1) -> Tensor:
        """Return N(0, std²) `[N, columns]`."""
        if self.percentile is not None:
            return (2 * self.uniform(columns=columns) - 1).erfinv() * std
        return self._draw(torch.randn, columns) * std

    def maybe(self, probability: float, value: Tensor, otherwise: float) -> Tensor:
        """Return value `[N, K]` for the rows that an event of this probability hits, else the neutral number."""
        return torch.where(self.uniform() < probability, value, otherwise)


def _matrix(rows: list[list[Tensor | float]], count: int) -> Tensor:
    """Return `[N, len(rows), len(rows)]` from entries `[N, 1]` or numbers."""
    entries = [e if isinstance(e, Tensor) else torch.full([count, 1], e, dtype=torch.float64) for r in rows for e in r]
    return torch.cat(entries, dim=1).unflatten(1, [len(rows), len(rows)])


def _scaling(x: Tensor, y: Tensor) -> Tensor:
    return _matrix([[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]], len(x))


def _rotation(angle: Tensor) -> Tensor:
    cos, sin = angle.cos(), angle.sin()
    return _matrix([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]], len(angle))


def _translation(x: Tensor, y: Tensor) -> Tensor:
    return _matrix([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]], len(x))


# ---- The pipe ------------------------------------------------------------------------------------------------------


class AugmentPipe(nn.Module):
    """Augments a batch of pictures, each by its own random draws; one buffer `p`, the strength, in its state.

    Differentiable twice in the pictures. The few numbers that describe an augmentation are drawn and combined on the
    CPU, so that nothing waits for the device; only pixels are touched there. A call with p = 0 draws nothing.
    """

    def __init__(self, augmentations: Augmentations, *, p: float = 0.0) -> None:
        super().__init__()
        self.augmentations = augmentations.validate()
        self.register_buffer("p", torch.tensor(float(p)))
        self.p: Tensor
        self.warp = Warp()
        self.bands = band_filters()

    def _apply(self, fn: Any, recurse: bool = True) -> AugmentPipe:
        # p stays on the CPU: it is read in every call, and reading it from a device would wait for all work there.
        p = self.p
        super()._apply(fn, recurse)
        self.p = p
        return self

    def forward(self, images: Tensor, *, rng: Rng = None, debug_percentile: float | None = None) -> Tensor:
        """Return augmented images, shape and dtype as images: float32 or float64 `[N, C, H, W]`, [-1, 1], C 1 or 3 when
        colours are on, H and W multiples of 16. The result may leave [-1, 1].

        rng: one generator, or one per picture; None is the global one. debug_percentile: a number P in (0, 1) that
        replaces every uniform draw, and normal draws by erfinv(2P - 1) times their standard deviation.
        """
        p = float(self.p)
        if p <= 0 or len(images) == 0:
            return images
        a = self.augmentations
        dice = _Dice(len(images), rng, debug_percentile)
        x = images
        if a.any_of("blit") or a.any_of("geom"):
            assert x.shape[2] % BLOCK == 0 and x.shape[3] % BLOCK == 0, x.shape
            inverse = self._geometry(p, dice, x.shape[3], x.shape[2])
            if not torch.equal(inverse, torch.eye(3, dtype=torch.float64).expand_as(inverse)):
                x = self.warp(x, inverse)
        if a.any_of("color"):
            x = _recolour(x, self._colour(p, dice, grey=x.shape[1] == 1))
        if a.any_of("filter"):
            gains = self._band_gains(p, dice)
            if not bool((gains == 1).all()):
                x = filter_symmetric(x, gains @ self.bands)
        if a.any_of("noise"):
            sigma = dice.maybe(p * a.noise, dice.normal(a.noise_std).abs(), 0.0)
            x = x + _noise_like(x, dice) * _to(sigma, x)[:, :, None, None]
        if a.any_of("cutout"):
            side = dice.maybe(p * a.cutout, torch.full([len(x), 1], a.cutout_size, dtype=torch.float64), 0.0)
            x = x * _cutout_mask(x, dice.uniform(columns=2), side)
        return x

    def _geometry(self, p: float, dice: _Dice, width: int, height: int) -> Tensor:
        """Return `[N, 3, 3]` from output to input positions. Each step is the inverse of what the picture undergoes."""
        a = self.augmentations
        inverse = torch.eye(3, dtype=torch.float64).expand(dice.count, 3, 3)
        one = torch.ones(dice.count, 1, dtype=torch.float64)

        # Pixel blitting.
        if a.xflip > 0:
            flip = dice.maybe(p * a.xflip, dice.uniform(0, 2).floor(), 0.0)
            inverse = inverse @ _scaling(1 - 2 * flip, one)
        if a.rotate90 > 0:
            quarters = dice.maybe(p * a.rotate90, dice.uniform(0, 4).floor(), 0.0)
            # Whole numbers: the cosine of π/2 would leave a remainder.
            cos, sin = (quarters - 2).abs() - 1, 1 - (quarters - 1).abs()
            inverse = inverse @ _matrix([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]], dice.count)
        if a.xint > 0:
            shift = dice.maybe(p * a.xint, dice.uniform(-a.xint_max, a.xint_max, columns=2), 0.0)
            inverse = inverse @ _translation(-(shift[:, :1] * width).round(), -(shift[:, 1:] * height).round())

        # General geometric transformations. The turns before and after the stretch together happen with probability p.
        p_rotate = 1 - math.sqrt(max(1 - p * a.rotate, 0.0))
        if a.scale > 0:
            zoom = dice.maybe(p * a.scale, dice.normal(a.scale_std).exp2(), 1.0)
            inverse = inverse @ _scaling(1 / zoom, 1 / zoom)
        if a.rotate > 0:
            half_turns = dice.maybe(p_rotate, dice.uniform(-a.rotate_max, a.rotate_max), 0.0)
            inverse = inverse @ _rotation(half_turns * math.pi)
        if a.aniso > 0:
            stretch = dice.maybe(p * a.aniso, dice.normal(a.aniso_std).exp2(), 1.0)
            inverse = inverse @ _scaling(1 / stretch, stretch)
        if a.rotate > 0 and dice.percentile is None:  # the known numbers turn once
            half_turns = dice.maybe(p_rotate, dice.uniform(-a.rotate_max, a.rotate_max), 0.0)
            inverse = inverse @ _rotation(half_turns * math.pi)
        if a.xfrac > 0:
            shift = dice.maybe(p * a.xfrac, dice.normal(a.xfrac_std, columns=2), 0.0)
            inverse = inverse @ _translation(-shift[:, :1] * width, -shift[:, 1:] * height)
        return inverse

    def _colour(self, p: float, dice: _Dice, *, grey: bool) -> Tensor:
        """Return `[N, 4, 4]` that acts on (red, green, blue, 1)."""
        a = self.augmentations
        colour = torch.eye(4, dtype=torch.float64).expand(dice.count, 4, 4)
        identity = torch.eye(4, dtype=torch.float64)
        rgb = torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float64)
        luma = rgb.outer(rgb) / 3  # vvᵀ of the grey axis v
        rgb = rgb.diag()
        if a.brightness > 0:
            shift = dice.maybe(p * a.brightness, dice.normal(a.brightness_std), 0.0)
            shifted = torch.zeros(4, 4, dtype=torch.float64)
            shifted[:3, 3] = 1
            colour = (identity + shifted * shift[..., None]) @ colour
        if a.contrast > 0:
            gain = dice.maybe(p * a.contrast, dice.normal(a.contrast_std).exp2(), 1.0)
            colour = torch.cat([gain, gain, gain, torch.ones_like(gain)], dim=1).diag_embed() @ colour
        if a.lumaflip > 0:
            flip = dice.maybe(p * a.lumaflip, dice.uniform(0, 2).floor(), 0.0)
            colour = (identity - 2 * luma * flip[..., None]) @ colour
        if a.hue > 0 and not grey:
            angle = dice.maybe(p * a.hue, dice.uniform(-a.hue_max, a.hue_max), 0.0) * math.pi
            colour = _hue_rotation(angle) @ colour
        if a.saturation > 0 and not grey:
            gain = dice.maybe(p * a.saturation, dice.normal(a.saturation_std).exp2(), 1.0)
            colour = (identity + (rgb - luma) * (gain - 1)[..., None]) @ colour
        return colour

    def _band_gains(self, p: float, dice: _Dice) -> Tensor:
        """Return the octaves' gains `[N, 4]`; each change is followed by a normalisation to the expected power."""
        a = self.augmentations
        gains = torch.ones(dice.count, NUM_BANDS, dtype=torch.float64)
        for band, multiplier in enumerate(a.imgfilter_bands):
            gain = torch.ones(dice.count, NUM_BANDS, dtype=torch.float64)
            chance = p * a.imgfilter * multiplier
            gain[:, band : band + 1] = dice.maybe(chance, dice.normal(a.imgfilter_std).exp2(), 1.0)
            power = (BAND_POWER * gain.square()).sum(dim=1, keepdim=True)
            gains = gains * gain / power.sqrt()
        return gains


# ---- Pixels --------------------------------------------------------------------------------------------------------


def _to(value: Tensor, like: Tensor) -> Tensor:
    """Cast before moving: not every device has float64."""
    return value.to(like.dtype).to(like.device, non_blocking=True)


def _hue_rotation(angle: Tensor) -> Tensor:
    """Return `[N, 4, 4]`, a turn about the grey axis v (Rodrigues): cos·I + sin·[v]× + (1 - cos)·vvᵀ."""
    v = 1 / math.sqrt(3)
    cos, sin = angle.cos(), angle.sin() * v
    on, ahead, behind = cos + (1 - cos) * v * v, (1 - cos) * v * v + sin, (1 - cos) * v * v - sin
    rows: list[list[Tensor | float]] = [
        [on, behind, ahead, 0.0],
        [ahead, on, behind, 0.0],
        [behind, ahead, on, 0.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
    return _matrix(rows, len(angle))


def _recolour(x: Tensor, colour: Tensor) -> Tensor:
    """Apply `[N, 4, 4]` to pictures of three channels, or of one: grey in, the mean of red, green and blue out."""
    if x.shape[1] == 3:
        c = _to(colour, x)
        return (c[:, :3, :3] @ x.flatten(2) + c[:, :3, 3:]).unflatten(2, x.shape[2:])
    if x.shape[1] != 1:
        raise InputError(f"pictures of {x.shape[1]} channels have no colours to change", "use the pipe bg or blit")
    mean = _to(colour[:, :3].mean(dim=1), x)
    gain, shift = mean[:, :3].sum(dim=1), mean[:, 3]
    return x * gain[:, None, None, None] + shift[:, None, None, None]


def _noise_like(x: Tensor, dice: _Dice) -> Tensor:
    if dice.percentile is not None:
        return torch.ones_like(x) * float(dice.normal(1.0)[0])
    n, c, h, w = x.shape
    return draw_noise((n, c, h, w), dice.rng, x.device).to(x.dtype)


def _cutout_mask(x: Tensor, centre: Tensor, side: Tensor) -> Tensor:
    """Return `[N, 1, H, W]`, 0 inside the square of the given centre `[N, 2]` and side `[N, 1]` in picture sides."""
    centre, reach = _to(centre, x), _to(side, x) / 2
    keep = []
    for axis, size in ((0, x.shape[3]), (1, x.shape[2])):
        at = (torch.arange(size, device=x.device, dtype=x.dtype) + 0.5) / size
        keep.append((at - centre[:, axis : axis + 1]).abs() >= reach)
    return (keep[0][:, None, None, :] | keep[1][:, None, :, None]).to(x.dtype)
