"""What a picture file says of itself in its header, before anything is decoded; made for files from strangers."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from functools import cache
from io import BytesIO

from PIL import Image, ImageFile, JpegImagePlugin

from ganlib.media.bands import BAND_PIXELS, is_banded

MAX_PIXELS = 64_000_000  # of a picture file, if nothing else is said
# Formats that are decoded in this process by a bounded decoder; EPS and its kin, which start programs, are not here.
READABLE = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "HEIF")
# What Pillow's decoders raise on damaged bytes, besides the bombs.
DAMAGE: tuple[type[Exception], ...] = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError)
DAMAGE += (RuntimeError, struct.error, zlib.error)
BOMB: tuple[type[Exception], ...] = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def open_header(data: bytes) -> ImageFile.ImageFile:
    """Return a picture file with its header read and nothing decoded. Raises what Pillow does.

    Pillow itself refuses headers of many pixels, but for JPEG that would refuse what can be decoded reduced.
    """
    Image.init()
    _register_heif()
    if data.startswith(b"\xff\xd8\xff"):
        with suppress(*DAMAGE):
            return JpegImagePlugin.jpeg_factory(BytesIO(data))
    return Image.open(BytesIO(data), formats=[kind for kind in READABLE if kind in Image.OPEN])


def reduction(data: bytes, *, max_pixels: int = MAX_PIXELS, least_side: int) -> int:
    """Return how many times smaller `decode` makes a picture that it decodes: 1, or for a JPEG also 2, 4 or 8."""
    with open_header(data) as file:
        return times_smaller(file, max_pixels, least_side) or 1


def times_smaller(file: ImageFile.ImageFile, max_pixels: int, least_side: int | None) -> int | None:
    """Return how many times smaller a file is to be decoded; None where it stays too large."""
    width, height = file.size
    if width * height <= max_pixels:
        return 1
    if file.format not in ("JPEG", "MPO") or least_side is None:
        return None
    # One in several scans is unpacked whole before it is reduced: six bytes for each of its own pixels at most.
    if _has_scans(file) and width * height > 2 * max_pixels:
        return None
    fitting = (times for times in (2, 4, 8) if -(-width // times) * -(-height // times) <= max_pixels)
    times = next(fitting, None)
    return times if times is not None and min(width, height) // times >= least_side else None


def pixels_to_open(data: bytes) -> int:
    """Return how many pixels are in memory already when a picture file is opened: those of a WebP, else none."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return 0
    if data[12:16] == b"VP8X":
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
    elif data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    return width * height


def pixels_held(file: ImageFile.ImageFile, times: int) -> int:
    """Return how many pixels are in memory at a time while a file is decoded and made `times` smaller."""
    width, height = file.size
    in_parts = is_banded(file) or (file.format in ("JPEG", "MPO") and not _has_scans(file))
    return width * height // times**2 + 12 * BAND_PIXELS if in_parts else width * height


def _has_scans(file: ImageFile.ImageFile) -> bool:
    """Whether a JPEG comes in several passes over the picture: a progressive one, or one with its colours apart."""
    assert file.fp is not None
    at, colours = file.fp.tell(), file.layers  # type: ignore[attr-defined]
    # Behind the header of the first scan, which says how many colours are in it.
    whole = b"\xff\xda" + struct.pack(">HB", 6 + 2 * colours, colours)
    file.fp.seek(max(0, at - 8 - 2 * colours))
    first = file.fp.read(len(whole))
    file.fp.seek(at)
    return bool(file.info.get("progressive")) or first != whole


def depth_of(data: bytes) -> int:
    """Return the bits for each channel of a picture file's pixels, from its header: 8 where it does not say more.

    `decode` makes 8 of them. Raises what Pillow does for what is no picture.
    """
    with open_header(data) as file:
        if file.format == "PNG":
            return max(8, data[24])
        if file.format == "TIFF":
            bits: tuple[int, ...] = file.tag_v2.get(258, (8,))  # type: ignore[attr-defined]
            return max(8, *bits)
        if file.format == "PPM":  # the largest value stands in its header, or it holds floats
            largest = file.tile[0][3]
            is_deep = file.mode.startswith("I") or (isinstance(largest, tuple) and largest[-1] > 255)
            return 32 if file.mode == "F" else 16 if is_deep else 8
        bits_known = file.info.get("bit_depth", 8)
        return max(8, bits_known if isinstance(bits_known, int) else 8)


@cache
def _register_heif() -> None:
    """Let Pillow read HEIC photos where the package pillow-heif is installed."""
    try:
        import pillow_heif
    except ImportError:
        return
    pillow_heif.register_heif_opener()
