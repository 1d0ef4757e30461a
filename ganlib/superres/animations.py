"""Animated GIF, WebP and PNG through an upscaling network: durations, loops, transparency and texts are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from ganlib.base.errors import DataError, InputError
from ganlib.compute.device import free_bytes
from ganlib.media import images
from ganlib.media.headers import BOMB, DAMAGE
from ganlib.runs import Reporter, Stopped, replacing
from ganlib.superres.upscaler import Target, Upscaler

SUFFIXES = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".apng": "PNG"}
MOST_FRAMES = 20_000
MOST_PIXELS = 100_000_000  # of one frame
_SECOND = 1000  # milliseconds
_XMP = "XML:com.adobe.xmp"


@dataclass(frozen=True)
class Animation:
    """What an animated picture says about itself."""

    path: Path
    width: int
    height: int
    frames: int
    kind: str
    """GIF, WEBP or PNG."""
    plays: int
    """How many times it is shown; 0 is without end."""
    is_lossless: bool

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What its enlargement may be called; the first is its own."""
        own = self.path.suffix.lower()
        film = () if self.kind == "WEBP" else (".mp4",)  # ffmpeg reads no animated WebP
        return (own, *(each for each in (".webp", ".apng", ".gif") if each != own), *film)


def look_at(path: Path, data: bytes) -> Animation | None:
    """Return what a file says; None for anything but a GIF, WebP or PNG with more than one frame. Raises InputError for
    more or larger frames than there may be."""
    if path.suffix.lower() not in SUFFIXES:
        return None
    try:
        with Image.open(BytesIO(data), formats=("GIF", "WEBP", "PNG")) as file:
            count, kind = int(getattr(file, "n_frames", 1)), str(file.format)
            loop, (width, height) = file.info.get("loop"), file.size
            count -= bool(file.info.get("default_image"))  # shown where animations are not; no frame
    except DAMAGE + BOMB:
        return None
    if count < 2:
        return None
    if count > MOST_FRAMES or width * height > MOST_PIXELS:
        raise InputError(f"{path.name} has {count:,} frames of {width}×{height} pixels", "Cut it first.")
    # A GIF says how often it is shown again, and nothing where it is shown once.
    plays = (1 if loop is None else loop and loop + 1) if kind == "GIF" else loop or 0
    is_lossless = kind != "WEBP" or (b"VP8L" in data and b"VP8 " not in data)
    return Animation(path, width, height, count, kind, int(plays), is_lossless)


def upscale_animation(
    animation: Animation, data: bytes, dest: Path, upscaler: Upscaler, target: Target, *, text: str | None,
    quality: int, reporter: Reporter, done: float = 0.0, total: float = 0.0,
) -> Path:  # fmt: skip
    """Write the animation at the target's size to `dest` and return `dest`; `data` is the source's file.

    `text` is what the result says about itself. Progress is told as `done` and so much of `total` as its frames are. A
    stopped one begins anew. Raises Stopped, InputError where the result does not fit into memory, and DataError for a
    damaged file; then `dest` is untouched."""
    needed, free = 4 * target.width * target.height * animation.frames, free_bytes("cpu")
    if free and needed > free / 2:
        words = f"{animation.frames} frames of {target.width}×{target.height} pixels may need {needed / 2**30:.1f} GiB"
        raise InputError(f"{words} of memory; {free / 2**30:.1f} GiB are free", "Choose a smaller scale.")
    kind = SUFFIXES[dest.suffix.lower()]
    durations: list[int] = []
    info: dict[str, Any] = {}

    def enlarged() -> Iterator[Image.Image]:
        for number, (pixels, seconds, about) in enumerate(_frames(animation, data), 1):
            if reporter.should_stop():
                raise Stopped
            info.update(about)
            durations.append(seconds)
            large = upscaler.grey_kept(pixels, upscaler.to_size(pixels, target))
            if kind == "GIF" and large.shape[2] == 4:  # it knows seen and unseen alone
                large = large * (large[..., 3:] > 127)
                large[..., 3] = (large[..., 3] > 0) * np.uint8(255)
            words = f"{animation.path.name}: frame {number} of {animation.frames}"
            reporter.progress(min(done + number * target.work(upscaler.scale), total), total, words)
            yield Image.fromarray(large)

    frames = list(enlarged())
    options: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "duration": durations}
    if kind == "GIF":
        options |= {"disposal": 2} | ({} if animation.plays == 1 else {"loop": max(0, animation.plays - 1)})
        options |= {"comment": text.encode()[:65_000]} if text else {}
    elif kind == "PNG":
        options |= {"loop": animation.plays, "pnginfo": _text_chunks(info, text), "blend": 0, "disposal": 0}
    else:
        options |= {"loop": animation.plays, "lossless": animation.is_lossless, "quality": quality}
        options |= {"exact": True} if animation.is_lossless else {}
        options |= {"xmp": info["xmp"]} if info.get("xmp") else {}
    with replacing(dest) as temporary:
        frames[0].save(temporary, kind, **options)
    return dest


def read_text(data: bytes) -> str | None:
    """Return the text that an animation of this studio holds about itself; None where there is none."""
    with Image.open(BytesIO(data), formats=("GIF", "WEBP", "PNG")) as file:
        text = file.info.get(images.RECIPE_KEY, file.info.get("comment"))
    text = text.decode("utf-8", errors="replace") if isinstance(text, bytes) else text
    return text if isinstance(text, str) else None


def _frames(animation: Animation, data: bytes) -> Iterator[tuple[np.ndarray, int, Mapping[Any, Any]]]:
    """Yield pixels uint8 `[H, W, 4]`, or `[H, W, 3]` where all are opaque, milliseconds, and what the file says."""
    try:
        with Image.open(BytesIO(data), formats=(animation.kind,)) as file:
            first = int(bool(file.info.get("default_image")))
            is_clear = False
            for number in range(first, first + animation.frames):
                file.seek(number)
                pixels = np.asarray(file.convert("RGBA"))
                is_clear = is_clear or bool((pixels[..., 3] < 255).any())
                milliseconds = round(float(file.info.get("duration", _SECOND / 10)))
                yield (pixels if is_clear else np.ascontiguousarray(pixels[..., :3])), milliseconds, dict(file.info)
    except DAMAGE + BOMB as error:
        raise DataError(f"{animation.path.name} is damaged: {error}", "Make it anew.") from error


def _text_chunks(info: dict[str, Any], text: str | None) -> PngImagePlugin.PngInfo:
    chunks = PngImagePlugin.PngInfo()
    if text:
        chunks.add_itxt(images.RECIPE_KEY, text)
    xmp = info.get(_XMP) or info.get("xmp")
    if xmp:
        chunks.add_itxt(_XMP, xmp.decode("utf-8", errors="replace") if isinstance(xmp, bytes) else str(xmp))
    return chunks
