"""Where to cut a square out of a picture: without the scanner's black frame, and round the subject on plain ground.

Everything is measured on a copy whose longer side is at most `LOOK_SIDE` pixels, and lengths given below are in pixels
of that copy; boxes that leave this module are in pixels of the original. Nothing here touches files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage

from ganlib.images import resize

LOOK_SIDE = 192

# The scanner's lid: a line of pixels is frame when more than half of it is darker than this (of 255).
FRAME_LEVEL = 70
# What is cut away besides: sheets lie a little askew, their edges are torn and JPEG blurs them.
FRAME_INSET = 5
# A scan has the lid on at least this many sides, black along nearly the whole edge and not wide; the dark edges of
# paintings are uneven and fade inwards.
FRAME_SIDES = 3
FRAME_SOLID = 0.8
FRAME_WIDEST = 0.15  # of the picture's side
# Paper keeps at least this share of either side; less is a dark picture, not a frame.
PAGE_SHARE = 0.25

# Distance of a colour from the ground in CIE Lab: hue counts more, since shadows and ink differ in lightness alone.
LIGHTNESS_WEIGHT, CHROMA_WEIGHT = 0.5, 1.5
FAR = 85.0  # all greater distances are equal, so that one dark spot does not set the scale
GROUND_DISTANCE = 4.0  # nearer than this is the ground itself
PLAIN_DISTANCE = 14.0  # nearer than this still looks like the same ground, with its stains and grain
LEAST_GROUND = 0.1  # of the page; with less, there is no telling the subject from it
PLAIN_EDGE, PLAIN_SHARE = 0.75, 0.35  # such pixels in a band along the edges, and in all, when the ground is plain

# The subject stands out by a third of the strongest contrast; fainter things are writing and shadow.
SUBJECT_CONTRAST, SUBJECT_LEAST = 0.33, 10.0
SUBJECT_AREA = 0.012  # smaller things, as a share of the page, are labels and blots
SUBJECT_MOST = 0.6  # larger things are mounts
UPPER_THIRD, UPPER_BONUS = 0.35, 1.25  # botanical plates show the whole fruit above its section
STACK, STACK_MOST = 1.45, 3.0  # taller than wide by this: a fruit and its section that touch; the upper one is taken

# Why a picture is set aside, and from which value on.
SOLIDITY = 0.42  # area of the subject in its box: 0.79 for a disc, less than this for twigs
PASTED_SOLIDITY = 0.97  # nothing that grows fills its box so well: a photograph or a label
LONGEST = 2.1  # longer side over shorter
LARGEST = 0.8  # of the page's longer side
LEAST_COLOUR = 35.0  # mean difference of the strongest and weakest channel, of 255: pencil and photographs have less
LEAST_TINT = 8.0  # distance in Lab's a and b from the paper: sepia is as colourful as its paper, but no more

Method = Literal["subject", "page", "whole"]
Bounds = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True)
class Framing:
    """A square in pixels of the picture, the colour beyond the page, and what speaks against showing it."""

    box: Bounds
    """May reach beyond the picture."""
    fill: tuple[int, int, int]
    objection: str = ""
    """Why a subject crop sets this picture aside; empty if nothing speaks against it."""
    page: Bounds | None = None
    """The part of the picture that may be shown; None means all of it."""


def frame_picture(pixels: np.ndarray, method: Method, *, margin: float = 1.22) -> Framing:
    """Return where to cut uint8 `[H, W, 3]`.

    `subject` removes scan frame and mount and takes the subject, with `margin` times its longer side; where there is
    none, `objection` says so and the box is the page's centre. `page` removes the scan frame and takes the largest
    centred square; `whole` takes that of the picture as it is.
    """
    height, width = pixels.shape[:2]
    if method == "whole":
        return Framing(_centre((0, 0, width, height)), (0, 0, 0))
    look = _look_copy(pixels)
    scale_x, scale_y = width / look.shape[1], height / look.shape[0]
    bounds = _inside_frame(look)
    if method == "page":
        return Framing(_centre(_scaled(bounds, scale_x, scale_y)), (0, 0, 0))
    distance, tint = _from_ground(_part(look, bounds))
    card = _card_on_mount(distance)
    box, objection = _subject(_part(look, bounds), distance, tint)
    if card is not None:
        inner = _shifted(card, bounds[:2])
        inner_distance, inner_tint = _from_ground(_part(look, inner))
        inner_box, inner_objection = _subject(_part(look, inner), inner_distance, inner_tint)
        if objection or not inner_objection:
            bounds, distance, box, objection = inner, inner_distance, inner_box, inner_objection
    page = _part(look, bounds)
    ground = page[distance < GROUND_DISTANCE]
    fill = np.median(ground, axis=0) if len(ground) else np.array((250, 245, 230))
    red, green, blue = (int(value) for value in fill)
    page_box = _scaled(bounds, scale_x, scale_y)
    square = _centre(page_box)
    if box is not None:
        square = _square_round(_scaled(_shifted(box, bounds[:2]), scale_x, scale_y), margin)
    return Framing(square, (red, green, blue), objection, page_box)


def has_plain_ground(pixels: np.ndarray) -> bool:
    """Return whether uint8 `[H, W, 3]`, without its scan frame, shows something on an even ground such as paper."""
    look = _look_copy(pixels)
    bounds = _inside_frame(look)
    distance, _ = _from_ground(_part(look, bounds))
    plain = distance < PLAIN_DISTANCE
    return bool(plain[_edge_band(plain.shape)].mean() >= PLAIN_EDGE and plain.mean() >= PLAIN_SHARE)


def cut(pixels: np.ndarray, framing: Framing, side: int) -> np.ndarray:
    """Return uint8 `[side, side, 3]`: the framed square, with `framing.fill` where it leaves the page or picture."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = framing.box
    page_left, page_top, page_right, page_bottom = framing.page or (0, 0, width, height)
    x0, x1 = max(left, page_left, 0), min(right, page_right, width)
    y0, y1 = max(top, page_top, 0), min(bottom, page_bottom, height)
    square = np.empty((bottom - top, right - left, 3), np.uint8)
    square[:] = framing.fill
    square[y0 - top : y1 - top, x0 - left : x1 - left] = pixels[y0:y1, x0:x1]
    return resize(square, side, side)


def letterbox(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return uint8 `[side, side, 3]` with the whole picture in it, on the median colour of its own edge."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    fitted = resize(pixels, max(round(width * scale), 1), max(round(height * scale), 1))
    square = np.empty((side, side, 3), np.uint8)
    square[:] = np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]), axis=0)
    top, left = (side - fitted.shape[0]) // 2, (side - fitted.shape[1]) // 2
    square[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
    return square


# --- frame, ground and mount ------------------------------------------------------------------------------------------


def _inside_frame(look: np.ndarray) -> Bounds:
    """The page inside the scanner's black frame; the whole picture if fewer than three sides are framed."""
    height, width = look.shape[:2]
    bright = look.mean(axis=2) > FRAME_LEVEL
    rows = np.flatnonzero(bright.mean(axis=1) > 0.5)
    columns = np.flatnonzero(bright.mean(axis=0) > 0.5)
    if len(rows) < PAGE_SHARE * height or len(columns) < PAGE_SHARE * width:
        return 0, 0, width, height
    first = np.array([columns[0], rows[0], width - 1 - columns[-1], height - 1 - rows[-1]])
    edges = (bright[:, 0], bright[0], bright[:, -1], bright[-1])
    solid = np.array([1 - edge.mean() > FRAME_SOLID for edge in edges])
    framed = solid & (first > 0) & (first < FRAME_WIDEST * np.array([width, height, width, height]))
    if framed.sum() < FRAME_SIDES:
        return 0, 0, width, height
    left, top, right, bottom = (int(value) for value in np.where(framed, first + FRAME_INSET, 0))
    if left + right >= width or top + bottom >= height:
        return 0, 0, width, height
    return left, top, width - right, height - bottom


def _from_ground(page: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every pixel's smoothed distance from the ground's colour, and the part of it that is colour: both `[H, W]`.

    The ground is the median of the lightest two fifths.
    """
    lab = _to_lab(page)
    lightness = lab[..., 0]
    light = lightness > np.percentile(lightness, 60)
    ground = np.median(lab[light] if light.any() else lab.reshape(-1, 3), axis=0)
    delta = np.abs(lab - ground)
    tint = np.hypot(delta[..., 1], delta[..., 2])
    distance = np.hypot(CHROMA_WEIGHT * tint, LIGHTNESS_WEIGHT * delta[..., 0])
    return ndimage.gaussian_filter(np.minimum(distance, FAR), 3, mode="nearest"), tint


def _card_on_mount(distance: np.ndarray) -> Bounds | None:
    """The inner card if the page is a mount of another colour than the card's paper, else None."""
    band = distance[_edge_band(distance.shape)]
    if (band > SUBJECT_LEAST).mean() < PLAIN_EDGE:
        return None
    labels, count = ndimage.label(distance < SUBJECT_LEAST)
    if count == 0:
        return None
    largest = int(np.argmax(np.bincount(labels.ravel())[1:]))
    rows, columns = ndimage.find_objects(labels)[largest]
    inset = FRAME_INSET - 2  # what the smoothing blurred
    card = columns.start + inset, rows.start + inset, columns.stop - inset, rows.stop - inset
    area = max(card[2] - card[0], 0) * max(card[3] - card[1], 0)
    return card if area >= 0.1 * distance.size else None


def _edge_band(shape: tuple[int, ...]) -> np.ndarray:
    """A mask of a band along the edges, a twentieth of the shorter side wide."""
    band = max(min(shape) // 20, 1)
    mask = np.ones(shape, bool)
    mask[band:-band, band:-band] = False
    return mask


# --- the subject ------------------------------------------------------------------------------------------------------


def _subject(page: np.ndarray, distance: np.ndarray, tint: np.ndarray) -> tuple[Bounds | None, str]:
    """The box of the strongest single thing on the ground, and what speaks against it (empty: nothing)."""
    height, width = distance.shape
    if (distance < PLAIN_DISTANCE).mean() < LEAST_GROUND:
        return None, "no plain ground"
    threshold = max(SUBJECT_LEAST, SUBJECT_CONTRAST * float(np.percentile(distance, 98)))
    labels, count = ndimage.label(ndimage.binary_opening(distance > threshold, iterations=2))
    if count == 0:
        return None, "nothing on the ground"
    idx = np.arange(1, count + 1)
    areas = np.bincount(labels.ravel())[1:]
    places = [(ys.start, ys.stop, xs.start, xs.stop) for ys, xs in ndimage.find_objects(labels)]
    top, bottom, left, right = np.array(places).T
    touched = (top <= 1).astype(int) + (bottom >= height - 1) + (left <= 1) + (right >= width - 1)
    at_edges = (touched >= 2) | (areas > SUBJECT_MOST * labels.size)
    possible = ~at_edges & (areas >= SUBJECT_AREA * labels.size)
    if not possible.any():
        return None, "cut off by the edges" if at_edges.any() else "nothing large enough on the ground"
    score = areas * ndimage.mean(distance, labels, idx) * np.where(top < UPPER_THIRD * height, UPPER_BONUS, 1.0)
    best = int(np.argmax(np.where(possible, score, -1.0)))
    box = int(left[best]), int(top[best]), int(right[best]), int(bottom[best])
    mask = labels == best + 1
    return _judged(page, mask, tint, box, int(areas[best]))


def _judged(page: np.ndarray, mask: np.ndarray, tint: np.ndarray, box: Bounds, area: int) -> tuple[Bounds, str]:
    """The subject's box, halved if it is a stack of two, with the first objection that holds."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    solidity = area / (width * height)
    colours = page[mask].astype(np.int16)
    colour = float((colours.max(axis=1) - colours.min(axis=1)).mean())
    if STACK * width < height < STACK_MOST * width and solidity >= SOLIDITY:
        bottom, height = top + width, width
    box = left, top, right, bottom
    if solidity < SOLIDITY:
        return box, "sparse, such as twigs"
    if max(height, width) > LARGEST * max(page.shape[:2]):
        return box, "fills the page"
    if max(height / width, width / height) > LONGEST:
        return box, "long and narrow"
    if solidity > PASTED_SOLIDITY:
        return box, "rectangular, such as a pasted photograph"
    if colour < LEAST_COLOUR or float(tint[mask].mean()) < LEAST_TINT:
        return box, "grey, such as a drawing or photograph"
    return box, ""


# --- boxes and copies -------------------------------------------------------------------------------------------------


def _look_copy(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    scale = min(LOOK_SIDE / max(height, width), 1.0)
    return resize(pixels, max(round(width * scale), 1), max(round(height * scale), 1))


def _to_lab(pixels: np.ndarray) -> np.ndarray:
    """float32 CIE Lab of uint8 sRGB `[H, W, 3]` after a 3×3 median, which takes away ink and grain."""
    calm = Image.fromarray(np.ascontiguousarray(pixels)).filter(ImageFilter.MedianFilter(3))
    lab = np.asarray(calm.convert("LAB")).astype(np.float32)
    lab[..., 1:] = (lab[..., 1:] + 128) % 256  # Pillow keeps a and b as signed bytes
    return lab


def _part(pixels: np.ndarray, box: Bounds) -> np.ndarray:
    left, top, right, bottom = box
    return pixels[top:bottom, left:right]


def _shifted(box: Bounds, by: tuple[int, int]) -> Bounds:
    left, top, right, bottom = box
    return left + by[0], top + by[1], right + by[0], bottom + by[1]


def _scaled(box: Bounds, x: float, y: float) -> Bounds:
    left, top, right, bottom = box
    return round(left * x), round(top * y), round(right * x), round(bottom * y)


def _centre(box: Bounds) -> Bounds:
    """The largest centred square inside `box`."""
    left, top, right, bottom = box
    side = min(right - left, bottom - top)
    left, top = left + (right - left - side) // 2, top + (bottom - top - side) // 2
    return left, top, left + side, top + side


def _square_round(box: Bounds, margin: float) -> Bounds:
    left, top, right, bottom = box
    side = max(int(max(right - left, bottom - top) * margin), 1)
    x, y = round((left + right - side) / 2), round((top + bottom - side) / 2)
    return x, y, x + side, y + side
