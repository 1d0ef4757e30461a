"""From an opened picture file to upright pixels in sRGB, a band at a time."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageFile, features

from ganlib.media.bands import bands, is_banded
from ganlib.media.headers import DAMAGE, open_header

LEAST_WHOLE = 0.75  # of the rows of a JPEG that is cut off, for the rest of it to be used
_BLOCK_ROWS = 16  # rows that a JPEG's decoder may have left half done where the bytes end
# EXIF orientation → how to undo it.
_UPRIGHT: dict[Any, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, 3),
    7: lambda pixels: pixels.swapaxes(0, 1)[::-1, ::-1],
    8: np.rot90,
}


def unpack(data: bytes, drafted: int, times: int, background: tuple[int, int, int] | None) -> tuple[np.ndarray, str]:
    """Return uint8 `[H, W, 3]` sRGB of a picture file, upright, a JPEG decoded at 1 in `drafted` of its size, then
    blocks of `times` × `times` pixels averaged, and its flaw: empty, or that rows are missing, as in
    `images.decode_what_is_there`.

    Alpha lies on `background`; without one it is kept, `[H, W, 4]`. No second copy of a whole picture is made. Raises
    what Pillow does for other damage."""
    with open_header(data) as file:
        if drafted > 1:
            file.draft(None, (file.width // drafted, file.height // drafted))
        pixels, flaw = _unpack(file, times, background)
        return _upright(pixels, file), flaw


def _unpack(file: ImageFile.ImageFile, times: int, background: tuple[int, int, int] | None) -> tuple[np.ndarray, str]:
    picture, flaw = (file, "") if is_banded(file) else _load(file)
    width, height = (-(-side // times) for side in picture.size)
    white = max(map(_white, bands(picture))) if picture.mode.startswith(("I", "F")) else 0.0
    pixels, top = np.empty((0, width, 3), np.uint8), 0
    for band in bands(picture, times):
        rows = _as_rgb(band, background, white)
        part = np.asarray(rows.reduce(times) if times > 1 else rows)
        if not top:
            pixels = np.empty((height, *part.shape[1:]), np.uint8)
        pixels[top : top + len(part)] = part
        top += len(part)
    return pixels, flaw


def _upright(pixels: np.ndarray, file: ImageFile.ImageFile) -> np.ndarray:
    try:
        # What is banded has its EXIF before its pixels; Pillow's own way would decode it whole to look behind them.
        exif = Image.Image.getexif(file) if is_banded(file) else file.getexif()
        orientation = exif.get(0x0112)
    except DAMAGE:  # a picture with broken EXIF is still a picture
        return pixels
    return np.ascontiguousarray(_UPRIGHT[orientation](pixels)) if orientation in _UPRIGHT else pixels


def _as_rgb(picture: Image.Image, background: tuple[int, int, int] | None, white: float) -> Image.Image:
    if picture.mode.startswith(("I", "F")):
        values = np.clip(_finite(picture) * (255 / white) + 0.5, 0, 255)
        return Image.fromarray(values.astype(np.uint8)).convert("RGB")
    profile = picture.info.get("icc_profile")
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        opaque = _to_srgb(picture.convert("RGB"), profile)
        if background is None:
            opaque.putalpha(picture.getchannel("A"))
            return opaque
        ground = Image.new("RGB", picture.size, background)
        return Image.composite(opaque, ground, picture.getchannel("A"))
    if picture.mode in ("P", "1", "YCbCr", "HSV"):
        picture = picture.convert("RGB")
    return _to_srgb(picture, profile)


def _finite(picture: Image.Image) -> np.ndarray:
    return np.nan_to_num(np.asarray(picture).astype(np.float64), posinf=0, neginf=0)


def _white(picture: Image.Image) -> float:
    """What becomes 255 of grey values of 16 or 32 bits, or floats: the end of the smallest usual range that holds
    them."""
    whites = (1.0, 255.0, 65535.0) if picture.mode == "F" else (255.0, 65535.0)
    largest = float(_finite(picture).max(initial=0))
    return next((white for white in whites if largest <= white), largest)


def _to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """`picture` as RGB, through its colour profile where it has one that works and is not sRGB already."""
    if (profile or picture.mode == "LAB") and features.check("littlecms2"):
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile)) if profile else ImageCms.createProfile("LAB")
            if picture.mode == "LAB" or "sRGB" not in ImageCms.getProfileDescription(source):
                converted = ImageCms.profileToProfile(picture, source, _srgb(), outputMode="RGB")
                assert converted is not None  # only None when converting in place
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass  # a broken profile, or one of another colour space: take the numbers as sRGB
    return picture.convert("RGB")


def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _load(file: ImageFile.ImageFile) -> tuple[Image.Image, str]:
    """The picture, decoded, and its flaw. Raises what Pillow does for other damage."""
    try:
        file.load()
        return file, ""
    except OSError:
        if file.format not in ("JPEG", "MPO") or file.info.get("progressive"):
            raise
        file.tile = []  # what was decoded stays; the rows that are missing are zero
        file.load()
        width, height = file.size
        decoded = np.asarray(file).reshape(height, -1).max(axis=1) > 0
        rows = height - int(np.argmax(decoded[::-1])) - _BLOCK_ROWS if decoded.any() else 0
        if rows < LEAST_WHOLE * height:
            raise
        part = file.crop((0, 0, width, rows))
        return part, f"cut off: only {rows} of its {height} rows are there"
