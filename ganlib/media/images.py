"""The only bridge between network images (float NCHW, [-1, 1]), pixels (uint8 NHWC RGB) and picture files (bytes)."""

from __future__ import annotations

import html
import math
import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageColor, ImageFilter, PngImagePlugin, UnidentifiedImageError
from torch import Tensor

from ganlib.base.errors import DataError, InputError
from ganlib.base.filesystem import check_regular, open_regular, read_regular
from ganlib.base.options import format_choices
from ganlib.compute.device import Room
from ganlib.media.bands import is_banded
from ganlib.media.headers import (
    BOMB,
    DAMAGE,
    MAX_PIXELS,
    READABLE,
    open_header,
    pixels_held,
    pixels_to_open,
    times_smaller,
)
from ganlib.media.unpacking import unpack
from ganlib.runs import free_name

MOST_DIFFERENCE = 64.0  # grey levels at which `difference` is black
LOOK_PIXELS = 2048 * 2048  # of a picture that is only looked at
ROOM = Room(MAX_PIXELS, large=MAX_PIXELS // 4)
"""Pixels that a process decodes at a time."""
LARGE_BYTES = 16 * 2**20  # of a picture file; such are looked at one at a time
MOST_PIXELS = 700_000_000  # of a picture of our own that can be looked at in parts
MAX_FILE_BYTES = 512 * 2**20  # of a picture file; a zip can claim to hold far more than the disk
RECIPE_KEY = "latent-atelier"
_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    '{}/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)
_XMP_OF_RECIPE = 'xmlns:la="urn:latent-atelier" la:recipe="{}"'
# IPTC's word for what a trained model made; marketplaces and search engines show it.
_XMP_OF_MODEL = (
    ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" Iptc4xmpExt:DigitalSourceType='
    '"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"'
)
_XMP_RECIPE = re.compile(r'\bla:recipe="([^"]*)"')
_HEIC = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypheim")


# --- network image ↔ pixels -------------------------------------------------------------------------------------------


def to_pixels(image: Tensor) -> np.ndarray:
    """Return uint8 `[N, H, W, 3]` of a float image `[N, C, H, W]` in about [-1, 1], on any device.

    clamp(x·127.5 + 128, 0, 255), truncated. One channel is repeated three times. Raises InputError for other counts.
    """
    if image.ndim != 4 or image.shape[1] not in (1, 3):
        raise InputError(f"an image of shape {list(image.shape)} is not [N, 1 or 3, H, W]")
    pixels = (image.detach().float() * 127.5 + 128).clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    return pixels.expand(-1, -1, -1, 3).contiguous().cpu().numpy()


def from_pixels(pixels: np.ndarray) -> Tensor:
    """Return a float32 image `[N, C, H, W]` in [-1, 1] on the CPU of uint8 pixels `[N, H, W, C]`: x / 127.5 - 1."""
    assert pixels.ndim == 4 and pixels.dtype == np.uint8, (pixels.shape, pixels.dtype)
    channels_first = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32)
    return torch.from_numpy(channels_first).div_(127.5).sub_(1)


# --- bytes → pixels ---------------------------------------------------------------------------------------------------


def decode(
    data: bytes,
    *,
    name: str = "picture",
    max_pixels: int = MAX_PIXELS,
    background: tuple[int, int, int] | None = (255, 255, 255),
    least_side: int | None = None,
) -> np.ndarray:
    """Return uint8 `[H, W, 3]` sRGB of a picture file's bytes; made for files from strangers.

    The EXIF orientation is applied, an embedded colour profile is converted, alpha lies on `background`, 16 bits become
    8, and of an animation the first frame is taken. Without a background (None) alpha is kept, and a picture that has
    any is `[H, W, 4]`. With `least_side`, a JPEG of more than `max_pixels` pixels is decoded at a half, a quarter or an
    eighth of its size, so that it fits, as long as its shorter side keeps that many pixels; see `reduction`. Raises
    DataError, naming `name`, for what is not a picture, is cut off, or has more than `max_pixels` pixels; the size is
    looked at before anything is decoded.
    """
    pixels, flaw = decode_what_is_there(
        data, name=name, max_pixels=max_pixels, background=background, least_side=least_side
    )
    if flaw:
        raise _damaged(name, flaw)
    return pixels


def decode_what_is_there(
    data: bytes,
    *,
    name: str = "picture",
    max_pixels: int = MAX_PIXELS,
    background: tuple[int, int, int] | None = (255, 255, 255),
    least_side: int | None = None,
) -> tuple[np.ndarray, str]:
    """Return what `decode` does and a flaw: empty, or why the picture is only the upper part of what it was.

    That is a sequential JPEG, such as an interrupted download, of which `LEAST_WHOLE` of the rows are there; the others
    are left out, before it is turned upright. A progressive one is refused as `decode` does: its rest is all blurred.
    """
    found = look(
        data, name=name, max_pixels=max_pixels, background=background, least_side=least_side, look_pixels=max_pixels
    )
    return found.pixels, found.flaw


class Look(NamedTuple):
    """A picture, perhaps smaller than it is."""

    pixels: np.ndarray
    """As `decode` returns them."""
    times: int
    """How many times smaller they are than the file's."""
    decoded_times: int
    """How many times smaller `decode` would make them."""
    flaw: str
    """As of `decode_what_is_there`."""


def look(
    data: bytes,
    *,
    name: str = "picture",
    max_pixels: int = MAX_PIXELS,
    background: tuple[int, int, int] | None = (255, 255, 255),
    least_side: int | None = 1,
    look_pixels: int = LOOK_PIXELS,
    parts_pixels: int = 0,
) -> Look:
    """Return what `decode_what_is_there` does, of any format as many times smaller as leaves at most `look_pixels`.

    Blocks of pixels are averaged as they are decoded; what is decoded in parts (`bands.is_banded`) may have as many as
    `parts_pixels`. All threads of a process together hold no more than one picture of `MAX_PIXELS` while they decode;
    the others wait. Raises what `decode` does.
    """
    if (pixels := pixels_to_open(data)) > max_pixels:
        raise _too_large(name, f"{pixels:,}", max_pixels, may_be_jpeg=least_side is not None)
    with ROOM.take(pixels) if pixels else nullcontext():
        return _look(data, name, max_pixels, background, least_side, look_pixels, parts_pixels)


def _look(
    data: bytes,
    name: str,
    max_pixels: int,
    background: tuple[int, int, int] | None,
    least_side: int | None,
    look_pixels: int,
    parts_pixels: int,
) -> Look:
    try:
        with open_header(data) as file:
            width, height = file.size
            decoded = times_smaller(file, max_pixels, least_side)
            if decoded is None and width * height <= parts_pixels and is_banded(file):
                decoded = 1
            if decoded is None:
                raise _too_large(name, f"{width}×{height}", max_pixels, may_be_jpeg=least_side is not None)
            times = max(decoded, math.ceil(math.sqrt(width * height / look_pixels)))
            is_jpeg = file.format in ("JPEG", "MPO")
            drafted = max(part for part in (1, 2, 4, 8) if part <= times) if is_jpeg else 1
            averaged = -(-times // drafted)
            held = pixels_held(file, drafted if is_jpeg else averaged)
        del file  # with all that its decoder holds, so that it can be given back
        with ROOM.take(held):
            pixels, flaw = unpack(data, drafted, averaged, background)
        return Look(pixels, drafted * averaged, decoded, flaw)
    except UnidentifiedImageError:
        raise DataError(f"{name} is not a picture: {_describe(data)}", _hint(data)) from None
    except BOMB as error:
        raise _too_large(name, "far more", max_pixels, may_be_jpeg=least_side is not None) from error
    except MemoryError as error:
        raise DataError(f"{name} does not fit into memory", "Make it smaller first.") from error
    except DAMAGE as error:
        raise _damaged(name, str(error)) from error


def room_to_read(num_bytes: int) -> AbstractContextManager[None]:
    """Return a block that holds a picture file of so many bytes while it is read and looked at: large ones one at a
    time in a process."""
    return ROOM.take(MAX_PIXELS) if num_bytes > LARGE_BYTES else nullcontext()


def look_at(path: Path, *, background: tuple[int, int, int] = (255, 255, 255)) -> tuple[np.ndarray, int, int]:
    """Return the pixels of a picture file, as `look` does, and its own width and height.

    Raises DataError for a file that is no picture or too large, OSError for one that cannot be read."""
    num_bytes = check_regular(path, max_bytes=MAX_FILE_BYTES).st_size
    with room_to_read(num_bytes):
        data = read_regular(path, max_bytes=MAX_FILE_BYTES)
        pixels = look(data, name=path.name, background=background, parts_pixels=MOST_PIXELS).pixels
        return pixels, *size_of(data, name=path.name)


def size_of(data: bytes, *, name: str = "picture") -> tuple[int, int]:
    """Return width and height of a picture file's bytes, upright, from its header. Raises DataError."""
    try:
        with ROOM.take(pixels_to_open(data)), open_header(data) as file:
            width, height = file.size
            try:
                is_turned = int(file.getexif().get(0x0112, 1)) >= 5
            except DAMAGE:
                is_turned = False
            return (height, width) if is_turned else (width, height)
    except UnidentifiedImageError:
        raise DataError(f"{name} is not a picture: {_describe(data)}", _hint(data)) from None
    except BOMB as error:
        raise DataError(f"{name} has far too many pixels", "Make it smaller first.") from error
    except DAMAGE as error:
        raise _damaged(name, str(error)) from error


def _damaged(name: str, words: str) -> DataError:
    hint = "Open it in another program and save it again, or fetch it again."
    return DataError(f"{name} is damaged or cut off: {words}", hint)


def _too_large(name: str, size: str, max_pixels: int, *, may_be_jpeg: bool = False) -> DataError:
    side = math.isqrt(max_pixels)
    hint = f"Make it smaller first, such as {side:,}×{side:,}"
    hint += ", or save it as JPEG (not progressive), which is read at a fraction of its size." if may_be_jpeg else "."
    more = ", and more in a JPEG" if may_be_jpeg else ""  # in reports of many files, the hint is not there
    return DataError(f"{name} has {size} pixels; {max_pixels:,} are allowed{more}", hint)


def _describe(data: bytes) -> str:
    if not data:
        return "the file is empty"
    if data[4:12] in _HEIC:
        return "it is an HEIC photo"
    for start, words in ((b"PK", "a zip archive"), (b"%PDF", "a PDF"), (b"<svg", "an SVG drawing"), (b"%!PS", "EPS")):
        if data.lstrip().startswith(start):
            return f"it is {words}"
    if data[:4] in (b"\x89PNG", b"\xff\xd8\xff\xe0", b"RIFF", b"GIF8"):
        return "its beginning is damaged"
    try:
        head = data[:256].decode("utf-8")
    except UnicodeDecodeError:
        return "no known picture format"
    return "it is text" if head.isprintable() or "\n" in head else "no known picture format"


def _hint(data: bytes) -> str:
    if data.startswith(b"PK"):
        return "Give a zip to Prepare on the Datasets page; here, choose one picture."
    if data[4:12] in _HEIC:
        return "Install what reads them: pip install pillow-heif. Or save it as JPEG or PNG."
    return "Choose a PNG, JPEG, WebP, AVIF, GIF, TIFF or BMP file; save others as PNG first."


# --- pixels → bytes ---------------------------------------------------------------------------------------------------


def encode(
    pixels: np.ndarray, kind: str = "png", *, recipe: str | None = None, quality: int = 90, mark_ai: bool = False
) -> bytes:
    """Return the bytes of a file in one of `PICTURE_FORMATS`, of uint8 pixels `[H, W, 3]` (or `[H, W]`, grey).

    With alpha, `[H, W, 4]`, where the format has it.

    `recipe` is text kept inside the file (PNG: an iTXt chunk called `latent-atelier`; the others: XMP) and found again
    by `read_recipe_text`. `quality`, 1 to 100, is for jpeg and webp. `mark_ai` says in the file's XMP that a trained
    model made it (IPTC's digital source type). Raises InputError for another kind.
    """
    if kind not in PICTURE_FORMATS:
        raise InputError(f"no picture format '{kind[:40]}'", f"Use {format_choices(PICTURE_FORMATS)}.")
    out = BytesIO()
    PICTURE_FORMATS[kind].save(Image.fromarray(pixels), out, recipe, mark_ai, quality)
    return out.getvalue()


def _save_png(picture: Image.Image, out: BytesIO, recipe: str | None, mark_ai: bool, quality: int) -> None:
    chunks = PngImagePlugin.PngInfo()
    if recipe is not None:
        chunks.add_itxt(RECIPE_KEY, recipe)
    if mark_ai:
        chunks.add_itxt("XML:com.adobe.xmp", _XMP.format(_XMP_OF_MODEL))
    picture.save(out, "PNG", pnginfo=chunks, compress_level=4)


def _save_with_xmp(
    kind: str, picture: Image.Image, out: BytesIO, recipe: str | None, mark_ai: bool, quality: int
) -> None:
    facts = "" if recipe is None else _XMP_OF_RECIPE.format(html.escape(recipe).replace("\n", "&#10;"))
    facts += _XMP_OF_MODEL if mark_ai else ""
    picture.save(out, kind, quality=quality, xmp=_XMP.format(facts).encode() if facts else b"")


@dataclass(frozen=True)
class PictureFormat:
    """A format that pictures are written in."""

    title: str
    """For people."""
    suffixes: tuple[str, ...]
    """What its files may end in, the usual one first."""
    media_type: str
    save: Callable[[Image.Image, BytesIO, str | None, bool, int], None]
    """(picture, stream, recipe, mark_ai, quality), as `encode` is told them, writes the file."""
    has_alpha: bool = True


PICTURE_FORMATS: dict[str, PictureFormat] = {
    "png": PictureFormat("PNG", (".png",), "image/png", _save_png),
    "jpeg": PictureFormat("JPEG", (".jpg", ".jpeg"), "image/jpeg", partial(_save_with_xmp, "JPEG"), has_alpha=False),
    "webp": PictureFormat("WebP", (".webp",), "image/webp", partial(_save_with_xmp, "WEBP")),
}


def format_of(suffix: str) -> str | None:
    """Return the name of the format that files with this suffix have, in any case; None where there is none."""
    return next((name for name, row in PICTURE_FORMATS.items() if suffix.lower() in row.suffixes), None)


def read_recipe_text(data: bytes) -> str | None:
    """Return the recipe text inside a picture file's bytes, or None: no picture or no recipe. Decodes nothing."""
    Image.init()
    try:
        with Image.open(BytesIO(data), formats=("PNG", "WEBP", "JPEG")) as file:
            text = file.info.get(RECIPE_KEY)
            if isinstance(text, str):
                return str(text)
            xmp = file.info.get("xmp", b"")
    except DAMAGE + BOMB:
        return None
    match = _XMP_RECIPE.search(xmp.decode("utf-8", errors="replace") if isinstance(xmp, bytes) else str(xmp))
    return html.unescape(match[1]) if match else None


def says_ai(data: bytes) -> bool:
    """Return whether a picture file's XMP says that a trained model made it. Decodes nothing."""
    Image.init()
    try:
        with Image.open(BytesIO(data), formats=("PNG", "WEBP", "JPEG")) as file:
            xmp = file.info.get("xmp") or file.info.get("XML:com.adobe.xmp") or b""
    except DAMAGE + BOMB:
        return False
    return "trainedAlgorithmicMedia" in (xmp.decode("utf-8", errors="replace") if isinstance(xmp, bytes) else str(xmp))


def archive(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Return the bytes of a zip of (name, bytes) files; nothing is compressed, because pictures already are.

    A name that occurs again gets a number, so that no file is lost.
    """
    out, taken = BytesIO(), set[str]()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as folder:
        for name, data in files:
            stem, dot, suffix = name.rpartition(".")

            def is_taken(stem: str, rest: str = dot + suffix) -> bool:
                return stem + rest in taken

            unique = free_name(stem, is_taken) + dot + suffix
            taken.add(unique)
            folder.writestr(unique, data)
    return out.getvalue()


# --- pixels → pixels --------------------------------------------------------------------------------------------------


def contact_sheet(
    pixels: np.ndarray, *, columns: int, gap: int = 2, background: tuple[int, int, int] = (250, 247, 242)
) -> np.ndarray:
    """Return one uint8 picture `[H', W', 3]` of `[N, H, W, 3]`: row by row, `gap` pixels of `background` between."""
    if pixels.ndim != 4 or len(pixels) == 0 or columns < 1 or gap < 0:
        raise InputError(
            f"no contact sheet of {pixels.shape} in {columns} columns", "Give one picture and column or more."
        )
    count, height, width, _ = pixels.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    sheet = np.empty((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), np.uint8)
    sheet[:] = background
    for i, picture in enumerate(pixels):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def resize(pixels: np.ndarray, width: int, height: int, *, smooth: bool = True) -> np.ndarray:
    """Return uint8 pixels `[H, W, 3]` or `[N, H, W, 3]` at another size: Lanczos, or nearest where not `smooth`."""
    if width < 1 or height < 1:
        raise InputError(f"a picture cannot be {width}×{height}", "Give sides of one pixel or more.")
    if pixels.shape[-3:-1] == (height, width):
        return pixels
    method = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    if pixels.ndim == 3:
        return np.asarray(Image.fromarray(pixels).resize((width, height), method))
    if len(pixels) == 0:
        return np.empty((0, height, width, 3), np.uint8)
    return np.stack([np.asarray(Image.fromarray(picture).resize((width, height), method)) for picture in pixels])


def stack(pictures: Sequence[np.ndarray], side: int) -> np.ndarray:
    """Return uint8 `[N, side, side, 3]` of pictures uint8 `[H, W, 3]` of any sizes; one that is not square is
    squashed."""
    return np.stack([resize(picture, side, side) for picture in pictures])


def colour(text: str) -> tuple[int, int, int]:
    """Return red, green and blue, 0 to 255, of a colour such as `#faf7f2` or `white`. Raises InputError."""
    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        raise InputError(f"'{text}' is no colour", "write it as #rrggbb, such as #faf7f2") from None
    return red, green, blue


def surround(pixels: np.ndarray, width: int, height: int, *, background: str = "#000000") -> np.ndarray:
    """Return uint8 `[N, height, width, 3]`: the pictures `[N, H, W, 3]`, centred on a larger canvas.

    `background` is a colour, `#rrggbb`, or `blur`: the picture enlarged to fill the canvas, and blurred. Raises
    InputError where a picture is larger than the canvas.
    """
    count, high, wide, _ = pixels.shape
    if (high, wide) == (height, width):
        return pixels
    if high > height or wide > width:
        raise InputError(f"a picture of {wide}×{high} does not fit {width}×{height}", "Make it smaller first.")
    if background == "blur":
        canvas = np.empty((count, height, width, 3), np.uint8)
        for i, picture in enumerate(pixels):
            canvas[i] = _blurred(picture, width, height)
    else:
        canvas = np.empty((count, height, width, 3), np.uint8)
        canvas[:] = colour(background)
    top, left = (height - high) // 2, (width - wide) // 2
    canvas[:, top : top + high, left : left + wide] = pixels
    return canvas


def _blurred(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """The middle of a picture `[H, W, 3]` at `width` × `height`, blurred: 64 pixels across hold all that is left."""
    high, wide, _ = picture.shape
    scale = max(width / wide, height / high)
    across, down = width / scale, height / scale
    box = ((wide - across) / 2, (high - down) / 2, (wide + across) / 2, (high + down) / 2)
    small = (max(1, round(64 * width / max(width, height))), max(1, round(64 * height / max(width, height))))
    blurred = Image.fromarray(picture).resize(small, Image.Resampling.BOX, box=box).filter(ImageFilter.GaussianBlur(3))
    return np.asarray(blurred.resize((width, height), Image.Resampling.BICUBIC))


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return uint8 `[H, W, 3]`: where two pictures uint8 `[H, W, 3]` differ, from white (the same) over amber to black
    (their mean absolute difference over the channels is `MOST_DIFFERENCE` grey levels or more)."""
    apart = np.abs(a.astype(np.int16) - b).mean(axis=2) / MOST_DIFFERENCE
    stops = np.array([0.0, 0.5, 1.0])
    colours = np.array([[255, 255, 255], [214, 120, 24], [20, 16, 14]])
    channels = [np.interp(apart, stops, colours[:, i]) for i in range(3)]
    return np.stack(channels, axis=2).round().astype(np.uint8)


def num_frames(path: Path) -> int:
    """Return how many pictures a file holds, of an animation more than one; 1 for what cannot be read."""
    try:
        with open_regular(path) as file, Image.open(file, formats=READABLE[:4]) as image:
            return int(getattr(image, "n_frames", 1))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return 1
