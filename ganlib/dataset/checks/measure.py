"""What the checks measure on one picture: numbers that thresholds are held against later, without decoding it again.

Nothing here knows of the other pictures or of thresholds. Lengths without a unit are relative to the square root of the
area that is looked at. What lies within a border (see `border`) is measured, not the border itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import imagehash
import numpy as np
from PIL import Image
from scipy import ndimage

from ganlib.dataset.checks.border import find_border
from ganlib.media.headers import open_header, reduction
from ganlib.media.images import decode_what_is_there, encode, resize

VERSION = 1  # raised by one when a measure changes, so that stored ones are not mixed with new ones
LOOK_SIDE = 192  # longer side of the copy that most is measured on
SUBJECT_SIDE = 128  # of the copy that the subject is looked for on
BLUR_SIDE = 512  # of the copy that blur is measured on
THUMBNAIL_SIDE = 160
TILE_SIDE = 64  # of the square grey copy that duplicates are compared on

PLAIN = 12  # of 255: a pixel this near to the middle colour in each channel is of the same colour
BLUR_WINDOW = 9  # pixels of the box that a picture is blurred with once more
GROUND_BAND = 20  # the ground is seen in a band along the edges, this part of the shorter side wide
LIGHTNESS_WEIGHT, CHROMA_WEIGHT = 0.5, 1.5  # shadows and ink differ from the ground in lightness alone
FAR, STANDS_OUT, CONTRAST = 85.0, 10.0, 0.33  # as for the subject of a crop: see `framing`
SPECK = 0.002  # of the area; smaller things are writing and dust


@dataclass(frozen=True)
class Measures:
    """One picture in numbers."""

    width: int
    """In pixels, upright."""
    height: int
    num_bytes: int
    """Size of the file."""
    mode: str
    """How the file keeps its colours, in Pillow's words: RGB, L, CMYK, P …"""
    digest: str
    """SHA-256 of the decoded pixels, in hex: equal for exact copies, whatever their files are."""
    hashes: tuple[str, str, str, str]
    """Perceptual hashes of 64 bits, in hex: of the whole picture, within its border, and of both mirrored."""
    border: float
    """0 to 1: along how much of three sides or more there is a straight band of one colour."""
    inside: tuple[int, int, int, int]
    """Left, top, right, bottom of what lies within the border, in pixels."""
    blur: float
    """0 (sharp) to 1: how little a further blur takes away (Crété and others, 2007)."""
    plain: float
    """0 to 1: the share of pixels of the middle colour."""
    tint: float
    """0 to 180: how far the most colourful hundredth is from the picture's general tint; near 0 for greys and sepia."""
    ground: tuple[float, float, float]
    """Lightness and two chroma values, 0 to 255 each, of the ground: the middle colour along the edges."""
    radius: float
    """Of the largest disc inside the things on the ground."""
    thinness: float
    """Their area relative to that disc: 1 for a disc, 2 for two discs, 10 for a twig; 0 for nothing."""
    solidity: float
    """0 to 1: the area of the largest thing in its box."""
    elongation: float
    """Longer over shorter axis of the largest thing, 1 or more."""
    chroma: float
    """0 to 180: how colourful the things' middle colour is."""
    spread: float
    """How much their colours vary: the standard deviations of both chroma values, added."""
    edges: float
    """The mean step in lightness between neighbouring pixels of the things."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; `from_dict` restores it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Measures:
        """Build from `to_dict`, also after JSON has made lists of the tuples."""
        known = {item.name for item in fields(cls)}
        wanted: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
        return cls(**wanted)


@dataclass(frozen=True)
class Measured:
    """The measures of a picture, and the small copies that are kept of it."""

    measures: Measures
    thumbnail: bytes
    """JPEG, its longer side at most `THUMBNAIL_SIDE` pixels."""
    tile: np.ndarray
    """uint8 `[TILE_SIDE, TILE_SIDE]`: lightness within the border, squashed to a square."""


def measure(data: bytes, *, name: str = "picture") -> Measured:
    """Return what there is to say about the bytes of a picture file. Raises DataError as `images.decode`."""
    pixels, _ = decode_what_is_there(data, name=name, least_side=LOOK_SIDE)  # as the preparation does
    height, width = pixels.shape[:2]
    times = reduction(data, least_side=LOOK_SIDE)
    with open_header(data) as file:  # `decode` has accepted these bytes
        mode = file.mode
    digest = hashlib.sha256(np.array([height, width], np.int64).tobytes() + pixels.tobytes()).hexdigest()
    look = _at_most(pixels, LOOK_SIDE)
    border = find_border(look)
    rows, columns = border.inside(*look.shape[:2])
    inner = np.ascontiguousarray(look[rows, columns])
    scale_x, scale_y = width / look.shape[1], height / look.shape[0]
    left, right = round(columns.start * scale_x), round(columns.stop * scale_x)
    top, bottom = round(rows.start * scale_y), round(rows.stop * scale_y)
    measures = Measures(
        width=width * times,
        height=height * times,
        num_bytes=len(data),
        mode=mode,
        digest=digest,
        hashes=_hashes(look, inner),
        border=round(border.score, 4),
        inside=(left * times, top * times, right * times, bottom * times),
        blur=_blur(pixels[top:bottom, left:right]),
        plain=_plain(inner),
        **_seen(_at_most(inner, SUBJECT_SIDE)),
    )
    tile = np.asarray(Image.fromarray(inner).convert("L").resize((TILE_SIDE, TILE_SIDE), Image.Resampling.LANCZOS))
    return Measured(measures, encode(_at_most(look, THUMBNAIL_SIDE), "jpeg", quality=80), tile)


def _at_most(pixels: np.ndarray, side: int) -> np.ndarray:
    height, width = pixels.shape[:2]
    scale = min(side / max(height, width), 1.0)
    return resize(pixels, max(round(width * scale), 1), max(round(height * scale), 1))


def _hashes(look: np.ndarray, inner: np.ndarray) -> tuple[str, str, str, str]:
    views = (look, inner, look[:, ::-1], inner[:, ::-1])
    whole, within, mirrored, within_mirrored = (
        str(imagehash.phash(Image.fromarray(np.ascontiguousarray(view)))) for view in views
    )
    return whole, within, mirrored, within_mirrored


def _blur(pixels: np.ndarray) -> float:
    """How much of the steps between neighbours is left after a further blur, in the direction where that is more."""
    lightness = np.asarray(Image.fromarray(_at_most(pixels, BLUR_SIDE)).convert("L")).astype(np.float32)
    worst = 0.0
    for axis in (0, 1):
        if lightness.shape[axis] < 3:
            continue
        again = ndimage.uniform_filter1d(lightness, BLUR_WINDOW, axis=axis, mode="nearest")
        steps, left = np.abs(np.diff(lightness, axis=axis)), np.abs(np.diff(again, axis=axis))
        total = float(steps.sum())
        if total > 0:
            worst = max(worst, 1 - float(np.maximum(steps - left, 0).sum()) / total)
    return round(worst, 4)


def _plain(pixels: np.ndarray) -> float:
    middle = np.median(pixels.reshape(-1, 3), axis=0)
    near = np.abs(pixels.astype(np.int16) - middle.astype(np.int16)) <= PLAIN
    return round(float(near.all(axis=2).mean()), 4)


def _seen(pixels: np.ndarray) -> dict[str, Any]:
    """The ground, the general tint and the things on the ground of uint8 `[H, W, 3]`."""
    opponent = np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).convert("YCbCr")).astype(np.float32)
    height, width = opponent.shape[:2]
    chroma = opponent[..., 1:].reshape(-1, 2)
    tint = np.percentile(np.hypot(*(chroma - np.median(chroma, axis=0)).T), 99)
    band = max(min(height, width) // GROUND_BAND, 1)
    edge = np.ones((height, width), bool)
    edge[band:-band, band:-band] = False
    ground = np.median(opponent[edge], axis=0)
    seen = {"tint": round(float(tint), 3), "ground": tuple(round(float(value), 2) for value in ground)}
    return seen | {name: round(float(value), 4) for name, value in _things(opponent, ground).items()}


def _things(opponent: np.ndarray, ground: np.ndarray) -> dict[str, float]:
    """Shape and colour of what stands out from the ground of float32 Y, Cb, Cr `[H, W, 3]`."""
    nothing = {"radius": 0.0, "thinness": 0.0, "solidity": 0.0, "elongation": 1.0}
    nothing |= {"chroma": 0.0, "spread": 0.0, "edges": 0.0}
    height, width = opponent.shape[:2]
    delta = np.abs(opponent - ground)
    tint = np.hypot(delta[..., 1], delta[..., 2])
    distance = np.minimum(np.hypot(CHROMA_WEIGHT * tint, LIGHTNESS_WEIGHT * delta[..., 0]), FAR)
    distance = ndimage.gaussian_filter(distance, 1.0, mode="nearest")
    strong = distance > max(STANDS_OUT, CONTRAST * float(np.percentile(distance, 98)))
    labels, count = ndimage.label(ndimage.binary_opening(strong))
    if count == 0:
        return nothing
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    largest = int(np.argmax(areas))
    large = areas >= SPECK * labels.size
    large[largest] = True
    mask = large[labels]
    radius = float(ndimage.distance_transform_edt(np.pad(mask, 1)).max())
    rows, columns = ndimage.find_objects(labels)[largest - 1]
    box = (rows.stop - rows.start) * (columns.stop - columns.start)
    axes = np.linalg.eigvalsh(np.cov(np.stack(np.nonzero(labels == largest)))) if areas[largest] > 2 else np.ones(2)
    colours = opponent[mask]
    middle = np.median(colours[:, 1:], axis=0) - 128
    down, across = np.gradient(opponent[..., 0]) if min(height, width) > 1 else (np.zeros((height, width)),) * 2
    return {
        "radius": radius / np.sqrt(height * width),
        "thinness": mask.sum() / (np.pi * radius**2),
        "solidity": areas[largest] / box,
        "elongation": np.sqrt((max(axes[1], 0) + 1) / (max(axes[0], 0) + 1)),
        "chroma": np.hypot(*middle),
        "spread": colours[:, 1:].std(axis=0).sum(),
        "edges": np.hypot(down, across)[mask].mean(),
    }
