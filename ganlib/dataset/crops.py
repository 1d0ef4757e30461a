"""Where to cut a square out of a picture: within its frame, and round the subject on plain ground.

The subject is measured on a copy whose longer side is at most `frames.LOOK_SIDE` pixels, and lengths given below are in
pixels of that copy; boxes that leave this module are in pixels of the original. Nothing here touches files.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from PIL import Image, ImageCms, ImageFilter
from scipy import ndimage

from ganlib.dataset.frames import Bounds, inside_picture_frame, inside_scan_frame, look_copy
from ganlib.dataset.saliency import best_window, saliency
from ganlib.media.images import resize

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
STACK, STACK_MOST = 1.45, 3.0  # taller than wide by this, it may be a fruit and its section that touch
NECK = 0.88  # it is two things where it is narrower than this share of what is above and below; the upper one is taken
STACK_SOLIDITY = 0.65  # two discs have 0.79; fruit on a branch, which has necks of all kinds, is less solid
NECK_FROM, NECK_TO = 0.3, 0.75  # of its height: a neck further up is a stem, with leaves above it

GAP = 2  # what the threshold leaves of a neighbour's soft edge

# Why a picture is set aside, and from which value on.
CARD_INSET = 3  # what the smoothing blurred at the edges of a card on a mount
SOLIDITY = 0.42  # area of the subject in its box: 0.79 for a disc, less than this for twigs
PASTED_SOLIDITY = 0.97  # nothing that grows fills its box so well: a photograph or a label
LONGEST = 2.1  # longer side over shorter
LARGEST = 0.92  # of the page's longer side
# Something painted has many tints (spread in Lab's a and b: pencil has less, also where it turns the paper grey), or is
# at its most colourful part both colourful and of another tint than the paper: sepia is as colourful, but no more.
LEAST_SPREAD = 4.0
LEAST_CHROMA, LEAST_TINT = 14.0, 12.0
MOST_COLOURFUL = 90  # percentile that stands for this part

Method = Literal["subject", "page", "whole", "smart", "all"]


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
    removed: str = ""
    """Which frames were left out: `scan`, `picture` or `scan, picture`; empty if none."""


def frame_picture(
    pixels: np.ndarray, method: Method, *, margin: float = 1.22, scan: bool = True, picture: bool = False
) -> Framing:
    """Return where to cut uint8 `[H, W, 3]`, within the frame of a scan or of a picture where these are to be removed.

    `subject` takes the subject within its mount, with `margin` times its longer side; where there is none, `objection`
    says so and the box is the page's centre. `page` takes the largest centred square, `smart` that with most to look
    at, and `all` everything, which need be no square. `whole` is the largest centred square of the picture as it is.
    """
    height, width = pixels.shape[:2]
    if method == "whole":
        return Framing(_centre((0, 0, width, height)), (0, 0, 0))
    bounds, removed = _without_frames(pixels, scan, picture)
    if method == "page":
        return Framing(_centre(bounds), (0, 0, 0), removed=removed)
    if method == "all":
        return Framing(bounds, (0, 0, 0), removed=removed)
    if method == "smart":
        return Framing(_salient_square(pixels, bounds), (0, 0, 0), removed=removed)
    look = look_copy(pixels)
    scale_x, scale_y = width / look.shape[1], height / look.shape[0]
    bounds = _scaled(bounds, 1 / scale_x, 1 / scale_y)
    page = _Page(_part(look, bounds))
    found = _subject(page)
    card = _card_on_mount(page.distance)
    if card is not None:
        inner = _shifted(card, bounds[:2])
        inner_page = _Page(_part(look, inner))
        inner_found = _subject(inner_page)
        if found.objection or not inner_found.objection:
            bounds, page, found = inner, inner_page, inner_found
    ground = page.pixels[page.distance < GROUND_DISTANCE]
    fill = np.median(ground, axis=0) if len(ground) else np.array((250, 245, 230))
    red, green, blue = (int(value) for value in fill)
    square = _centre(_scaled(bounds, scale_x, scale_y))
    if found.box is not None:
        square = _square_round(_scaled(_shifted(found.box, bounds[:2]), scale_x, scale_y), margin)
        if not found.objection:
            bounds = _shifted(found.room, bounds[:2])
    return Framing(square, (red, green, blue), found.objection, _scaled(bounds, scale_x, scale_y), removed)


def _without_frames(pixels: np.ndarray, scan: bool, picture: bool) -> tuple[Bounds, str]:
    """The part of a picture inside its frames, in its pixels, and which they were."""
    height, width = pixels.shape[:2]
    bounds, removed = (0, 0, width, height), []
    if scan:
        look = look_copy(pixels)
        inside = inside_scan_frame(look)
        if inside != (0, 0, look.shape[1], look.shape[0]):
            bounds = _scaled(inside, width / look.shape[1], height / look.shape[0])
            removed.append("scan")
    if picture:
        part = _part(pixels, bounds)
        inside = inside_picture_frame(part)
        if inside != (0, 0, part.shape[1], part.shape[0]):
            bounds = _shifted(inside, bounds[:2])
            removed.append("picture")
    return bounds, ", ".join(removed)


def _salient_square(pixels: np.ndarray, bounds: Bounds) -> Bounds:
    """The square of the shorter side within `bounds` where there is most to look at."""
    left, top, right, bottom = bounds
    width, height = right - left, bottom - top
    side = min(width, height)
    if width == height:
        return bounds
    look = look_copy(_part(pixels, bounds))
    along = saliency(look).sum(axis=0 if width > height else 1)
    first = round(best_window(along, min(look.shape[:2])) * max(width, height) / len(along))
    first = min(first, max(width, height) - side)
    if width > height:
        return left + first, top, left + first + side, bottom
    return left, top + first, right, top + first + side


def has_plain_ground(pixels: np.ndarray) -> bool:
    """Return whether uint8 `[H, W, 3]`, without its scan frame, shows something on an even ground such as paper."""
    look = look_copy(pixels)
    bounds = inside_scan_frame(look)
    plain = _Page(_part(look, bounds)).distance < PLAIN_DISTANCE
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


# --- ground and mount -------------------------------------------------------------------------------------------------


class _Page:
    """The pixels uint8 `[H, W, 3]` within a frame or mount, and how far they are from its ground."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels
        lab = _to_lab(pixels)
        lightness = lab[..., 0]
        light = lightness > np.percentile(lightness, 60)
        ground = np.median(lab[light] if light.any() else lab.reshape(-1, 3), axis=0)  # of the lightest two fifths
        delta = np.abs(lab - ground)
        self.tones: np.ndarray = lab[..., 1:]
        """Every pixel's a and b: `[H, W, 2]`, 0 for grey."""
        self.tint: np.ndarray = np.hypot(delta[..., 1], delta[..., 2])
        """The distance of a and b from the ground's: `[H, W]`."""
        distance = np.minimum(np.hypot(CHROMA_WEIGHT * self.tint, LIGHTNESS_WEIGHT * delta[..., 0]), FAR)
        self.distance: np.ndarray = ndimage.gaussian_filter(distance, 3, mode="nearest")
        """The smoothed distance of the whole colour from the ground's: `[H, W]`."""


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
    inset = CARD_INSET
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


@dataclass(frozen=True)
class _Found:
    """The subject's box, the part of the page without its neighbours, and what speaks against it (empty: nothing)."""

    box: Bounds | None
    objection: str
    room: Bounds = (0, 0, 0, 0)


def _subject(page: _Page) -> _Found:
    """The strongest single thing on the ground."""
    distance = page.distance
    height, width = distance.shape
    if (distance < PLAIN_DISTANCE).mean() < LEAST_GROUND:
        return _Found(None, "no plain ground")
    threshold = max(SUBJECT_LEAST, SUBJECT_CONTRAST * float(np.percentile(distance, 98)))
    labels, count = ndimage.label(ndimage.binary_opening(distance > threshold, iterations=2))
    if count == 0:
        return _Found(None, "nothing on the ground")
    idx = np.arange(1, count + 1)
    areas = np.bincount(labels.ravel())[1:]
    places = np.array([(xs.start, ys.start, xs.stop, ys.stop) for ys, xs in ndimage.find_objects(labels)])
    left, top, right, bottom = places.T
    touched = (top <= 1).astype(int) + (bottom >= height - 1) + (left <= 1) + (right >= width - 1)
    at_edges = (touched >= 2) | (areas > SUBJECT_MOST * labels.size)
    possible = ~at_edges & (areas >= SUBJECT_AREA * labels.size)
    if not possible.any():
        return _Found(None, "cut off by the edges" if at_edges.any() else "nothing large enough on the ground")
    score = areas * ndimage.mean(distance, labels, idx) * np.where(top < UPPER_THIRD * height, UPPER_BONUS, 1.0)
    best = int(np.argmax(np.where(possible, score, -1.0)))
    subject = int(left[best]), int(top[best]), int(right[best]), int(bottom[best])
    mask = labels == best + 1
    box, objection = _judged(page, mask, subject, int(areas[best]))
    room = _without_neighbours(subject, np.delete(places, best, axis=0), (width, height))
    if box[3] < subject[3]:  # the lower half of a stack
        room = room[0], room[1], room[2], box[3]
    return _Found(box, objection, room)


def _judged(page: _Page, mask: np.ndarray, box: Bounds, area: int) -> tuple[Bounds, str]:
    """The subject's box, of the upper one if it is a stack of two, with the first objection that holds."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    solidity = area / (width * height)
    neck = _neck(mask[top:bottom, left:right]) if STACK * width < height < STACK_MOST * width else 0
    if neck and (solidity >= STACK_SOLIDITY or height > LONGEST * width) and solidity >= SOLIDITY:
        columns = np.flatnonzero(mask[top : top + neck].any(axis=0))
        left, right, bottom = int(columns[0]), int(columns[-1]) + 1, top + neck
        width, height = right - left, bottom - top
    box = left, top, right, bottom
    if solidity < SOLIDITY:
        return box, "sparse, such as twigs"
    if max(height, width) > LARGEST * max(page.pixels.shape[:2]):
        return box, "fills the page"
    if max(height / width, width / height) > LONGEST:
        return box, "long and narrow"
    if solidity > PASTED_SOLIDITY:
        return box, "rectangular, such as a pasted photograph"
    if not _is_painted(page.tones[mask], page.tint[mask]):
        return box, "grey, such as a drawing or photograph"
    return box, ""


def _neck(mask: np.ndarray) -> int:
    """The row below the upper one of two things in a mask, one above the other; 0 for a single thing."""
    widths = mask.sum(axis=1)
    above, below = np.maximum.accumulate(widths), np.maximum.accumulate(widths[::-1])[::-1]
    share = widths / np.minimum(above, below)
    first, last = int(NECK_FROM * len(widths)), int(NECK_TO * len(widths))
    row = first + int(np.argmin(share[first:last]))
    return row if share[row] < NECK else 0


def _is_painted(tones: np.ndarray, tint: np.ndarray) -> bool:
    """Whether the subject's pixels, by their a and b `[N, 2]` and their distance from the paper's, have colour."""
    if float(np.hypot(*tones.std(axis=0))) >= LEAST_SPREAD:
        return True
    chroma = float(np.percentile(np.hypot(tones[:, 0], tones[:, 1]), MOST_COLOURFUL))
    return chroma >= LEAST_CHROMA and float(np.percentile(tint, MOST_COLOURFUL)) >= LEAST_TINT


def _without_neighbours(box: Bounds, others: np.ndarray, size: tuple[int, int]) -> Bounds:
    """The page of this `size` cut back to where other things begin that lie wholly beside, above or below `box`."""
    left, top, right, bottom = box
    room = [0, 0, *size]
    for x0, y0, x1, y1 in others.tolist():
        if y0 >= bottom:
            room[3] = min(room[3], max(y0 - GAP, bottom))
        elif y1 <= top:
            room[1] = max(room[1], min(y1 + GAP, top))
        elif x0 >= right:
            room[2] = min(room[2], max(x0 - GAP, right))
        elif x1 <= left:
            room[0] = max(room[0], min(x1 + GAP, left))
    return room[0], room[1], room[2], room[3]


# --- boxes and copies -------------------------------------------------------------------------------------------------


def _to_lab(pixels: np.ndarray) -> np.ndarray:
    """float32 CIE Lab of uint8 sRGB `[H, W, 3]` after a 3×3 median, which takes away ink and grain."""
    calm = Image.fromarray(np.ascontiguousarray(pixels)).filter(ImageFilter.MedianFilter(3))
    lab = np.asarray(ImageCms.applyTransform(calm, _rgb_to_lab())).astype(np.float32)
    lab[..., 1:] = (lab[..., 1:] + 128) % 256 - 128  # Pillow keeps a and b as signed bytes
    return lab


@lru_cache(maxsize=1)
def _rgb_to_lab() -> ImageCms.ImageCmsTransform:
    """What `convert("LAB")` makes anew, at the cost of everything else that is done to a picture."""
    return ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")


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
