"""Directions by what pictures show: size, lightness, redness … measured in the pictures themselves, without labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ganlib.base.errors import InputError
from ganlib.media import images
from ganlib.media.colours import subject_of, to_lab
from ganlib.render.directions.discovery import sample_w
from ganlib.render.renderer import Renderer

PICTURES = 4000
"""So many are looked at, at most."""
LEAST_TOLD = 0.1
"""An attribute counts where w tells at least this share of its variance, in pictures that were not fitted to."""
_SIDE = 32  # pixels
_RIDGE = 1e-2
_LEAST_GROUND = 0.5  # of the pictures, for a subject to have a size
_LEAST_OWN = 0.05  # of an attribute's variance that the others do not tell; less is one of them again


@dataclass(frozen=True)
class Attribute:
    """Something that can be measured in a picture."""

    name: str
    title: str
    of: Callable[[np.ndarray, np.ndarray], np.ndarray]
    """From L*a*b* `[N, S, S, 3]` and the subject's places `[N, S, S]` to a number for each picture `[N]`."""
    needs_ground: bool = False
    """Whether it means something only before plain ground."""


@dataclass(frozen=True, eq=False)
class AttributeDirection:
    """An attribute and where it leads in w."""

    attribute: Attribute
    told: float
    """Share of its variance that w tells."""
    step: Tensor
    """Change of w with the attribute, the others being equal: `[w_dim]` float32, of any length."""


def _mean(channel: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The mean of a channel over the subject."""

    def measure(lab: np.ndarray, subject: np.ndarray) -> np.ndarray:
        values = channel(lab)
        return (values * subject).sum(axis=(1, 2)) / subject.sum(axis=(1, 2))

    return measure


def _tallness(lab: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """Logarithm of the subject's height over its width, as standard deviations of its places."""
    rows, columns = (_spread(subject.sum(axis=axis)) for axis in (2, 1))
    return np.log(rows / columns)


def _spread(counts: np.ndarray) -> np.ndarray:
    places = np.arange(counts.shape[1])
    share = counts / counts.sum(axis=1, keepdims=True)
    middle = (share * places).sum(axis=1, keepdims=True)
    return np.sqrt((share * np.square(places - middle)).sum(axis=1) + 1 / 12)


def _contrast(lab: np.ndarray, subject: np.ndarray) -> np.ndarray:
    light = lab[..., 0]
    middle = _mean(lambda lab: lab[..., 0])(lab, subject)[:, None, None]
    return np.sqrt((np.square(light - middle) * subject).sum(axis=(1, 2)) / subject.sum(axis=(1, 2)))


def _detail(lab: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """Mean change of lightness from place to place, less what contrast alone brings."""
    light = lab[..., 0]
    change = np.abs(np.diff(light, axis=1)).mean(axis=(1, 2)) + np.abs(np.diff(light, axis=2)).mean(axis=(1, 2))
    return np.log(change + 1e-3) - np.log(light.std(axis=(1, 2)) + 1e-3)


ATTRIBUTES = (
    Attribute("size", "Size", lambda lab, subject: subject.mean(axis=(1, 2)), needs_ground=True),
    Attribute("tallness", "Tallness", _tallness, needs_ground=True),
    Attribute("lightness", "Lightness", _mean(lambda lab: lab[..., 0])),
    Attribute("redness", "Redness", _mean(lambda lab: lab[..., 1])),
    Attribute("yellowness", "Yellowness", _mean(lambda lab: lab[..., 2])),
    Attribute("colourfulness", "Colourfulness", _mean(lambda lab: np.hypot(lab[..., 1], lab[..., 2]))),
    Attribute("contrast", "Contrast", _contrast),
    Attribute("detail", "Fine detail", _detail),
)
TITLES = {f"shown-{attribute.name}": attribute.title for attribute in ATTRIBUTES}


def measure_attributes(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the attributes of pictures uint8 `[N, H, W, 3]` as `[N, len(ATTRIBUTES)]` float64, in their order, and
    whether each picture lies on plain ground, bool `[N]`."""
    lab = to_lab(images.resize(pixels, _SIDE, _SIDE))
    found = [subject_of(picture) for picture in lab]
    subject = np.stack([places for places, _ in found])
    values = np.stack([attribute.of(lab, subject) for attribute in ATTRIBUTES], axis=1)
    return values, np.array([is_plain for _, is_plain in found])


def find_attribute_directions(
    renderer: Renderer, *, samples: int = PICTURES, seed: int = 0
) -> list[AttributeDirection]:
    """Return the attributes that w tells of, the best told first, each with its step in w.

    The step of an attribute a is Cov(w, a'), where a' is what of a the other attributes do not tell (linear
    regression), so that size grows without a change of colour. For normal w that is the way on which w goes, in the
    mean, with a'. What w tells is measured by ridge regression on one half of the pictures, as R² on the other half.
    Raises `InputError` for fewer than 100 samples, and where w tells of nothing.
    """
    if samples < 100:
        raise InputError(f"{samples} pictures are too few to learn from", "use 100 or more; 4000 is usual")
    w = sample_w(renderer, min(samples, PICTURES), seed=seed)
    mode = renderer.spec.noise_modes[0]
    rows, plain = [], []
    for pixels in renderer.synthesize_batches(w[:, None].repeat(1, renderer.spec.num_ws, 1), noise_mode=mode):
        measured, is_plain = measure_attributes(pixels)
        rows.append(measured)
        plain.append(is_plain)
    values = torch.from_numpy(np.concatenate(rows))
    on_ground = float(np.concatenate(plain).mean()) >= _LEAST_GROUND
    values = (values - values.mean(dim=0)) / values.std(dim=0).clamp(min=1e-9)
    x = w.double() - w.double().mean(dim=0)
    told = _told(x, values)
    kept = [
        i for i, each in enumerate(ATTRIBUTES)
        if told[i] >= LEAST_TOLD and (on_ground or not each.needs_ground)
    ]  # fmt: skip
    found = []
    for i in kept:
        others = values[:, [k for k in kept if k != i]]
        own = values[:, i] - others @ torch.linalg.lstsq(others, values[:, i], driver="gelsd").solution
        if float(own.square().mean()) >= _LEAST_OWN:
            found.append(AttributeDirection(ATTRIBUTES[i], float(told[i]), (x.T @ own / len(x)).float()))
    if not found:
        raise InputError("nothing that is measured follows w in this model", "find directions with --method pca")
    return sorted(found, key=lambda each: -each.told)


def _told(x: Tensor, values: Tensor) -> Tensor:
    """R² `[K]` of values `[N, K]` by ridge regression on x `[N, D]`: fitted to the first half, measured on the rest."""
    half = len(x) // 2
    gram = x[:half].T @ x[:half]
    # Few pictures for the length of w would be learned by heart.
    ridge = (_RIDGE + len(gram) / half) * gram.diagonal().mean() * torch.eye(len(gram), dtype=x.dtype)
    slopes = torch.linalg.solve(gram + ridge, x[:half].T @ values[:half])
    left = (values[half:] - x[half:] @ slopes).square().sum(dim=0)
    whole = (values[half:] - values[half:].mean(dim=0)).square().sum(dim=0)
    return 1 - left / whole.clamp(min=1e-9)
