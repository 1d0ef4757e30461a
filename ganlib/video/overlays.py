"""What is laid over a film: a caption, a logo, and a card with a title before it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError

from ganlib.dataset.files import MAX_FILE_BYTES
from ganlib.errors import DataError
from ganlib.filesystem import read_regular
from ganlib.video.job import RenderJob

_INK, _GROUND = (250, 247, 242), (22, 20, 18)
_LOGO_SHARE = 0.14  # of the shorter side
_MARGIN = 0.03
_LEAST_LETTER = 7.0  # pixels
_FADE_SHARE = 0.35  # of the card's time, in which it gives way to the film


class Overlay:
    """Caption and logo as one layer, and the card. The same for every frame of a film."""

    def __init__(self, job: RenderJob, size: tuple[int, int]) -> None:
        """`size` is (width, height) of the film. Raises DataError for a logo that is no picture."""
        self._job, self._size = job, size
        layer = Image.new("RGBA", size)
        if job.caption:
            _write_caption(layer, job.caption)
        if job.logo:
            _lay_logo(layer, _open_logo(Path(job.logo)), job.logo_corner, job.logo_opacity)
        self._box = layer.getbbox()
        self._layer = np.asarray(layer.crop(self._box), np.float32) if self._box else None
        self._card = _card(job.title, size) if job.title else None

    def apply(self, frames: np.ndarray, start: int) -> np.ndarray:
        """Return frames `[n, H, W, 3]`, of which the first is the film's frame `start`, with all that is over them."""
        if self._layer is not None and self._box is not None:
            left, top, right, bottom = self._box
            alpha = self._layer[..., 3:] / 255
            frames = frames.copy()
            part = frames[:, top:bottom, left:right]
            mixed = part * (1 - alpha) + self._layer[..., :3] * alpha + 0.5
            frames[:, top:bottom, left:right] = mixed.astype(np.uint8)
        count = self._job.title_frames
        if self._card is not None and start < count:
            frames = frames.copy()
            for i in range(min(len(frames), count - start)):
                left_over = (count - start - i) / (count * _FADE_SHARE)
                shown = min(1.0, max(0.0, left_over))
                shown = shown * shown * (3 - 2 * shown)
                frames[i] = (frames[i] * (1 - shown) + self._card * shown + 0.5).astype(np.uint8)
        return frames


def _write_caption(layer: Image.Image, words: str) -> None:
    width, height = layer.size
    side = min(width, height)
    font, words = _fitting(words, side * 0.05, width - 4 * side * _MARGIN, most=3)
    draw = ImageDraw.Draw(layer)
    left, top, right, bottom = draw.multiline_textbbox((0, 0), words, font=font)
    x, y = side * _MARGIN - left, height - side * _MARGIN - bottom
    pad = max(2.0, side * 0.012)
    plate = (x + left - pad, y + top - pad, x + right + pad, y + bottom + pad)
    draw.rounded_rectangle(plate, radius=pad, fill=(*_GROUND, 150))
    draw.multiline_text((x, y), words, font=font, fill=(*_INK, 255))


def _open_logo(path: Path) -> Image.Image:
    try:
        data = read_regular(path, max_bytes=MAX_FILE_BYTES)
        with Image.open(BytesIO(data), formats=("PNG", "WEBP", "JPEG", "GIF")) as file:
            return file.convert("RGBA")
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"the logo {path.name} cannot be read: {error}", "Choose a PNG file with alpha.") from error


def _lay_logo(layer: Image.Image, logo: Image.Image, corner: str, opacity: float) -> None:
    side = min(layer.size)
    scale = side * _LOGO_SHARE / max(logo.size)
    sides = tuple(max(1, round(length * scale)) for length in logo.size)
    logo = logo.resize((sides[0], sides[1]), Image.Resampling.LANCZOS)
    logo.putalpha(logo.getchannel("A").point([round(value * opacity) for value in range(256)]))
    margin = round(side * _MARGIN)
    x = margin if corner.endswith("left") else layer.width - margin - logo.width
    y = margin if corner.startswith("top") else layer.height - margin - logo.height
    layer.alpha_composite(logo, (x, y))


def _card(words: str, size: tuple[int, int]) -> np.ndarray:
    card = Image.new("RGB", size, _GROUND)
    font, words = _fitting(words, min(size) * 0.11, size[0] * 0.86, most=5)
    middle = (size[0] / 2, size[1] / 2)
    ImageDraw.Draw(card).multiline_text(middle, words, font=font, fill=_INK, anchor="mm", align="center")
    return np.asarray(card, np.float32)


def _fitting(
    words: str, height: float, width: float, *, most: int
) -> tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, str]:
    """Pillow's own font, no larger than `height`, and the words in at most `most` lines that fit the width; where even
    the smallest font is too wide, the end is left out."""
    size = max(8.0, height)
    while True:
        font = ImageFont.load_default(size)
        lines = _wrapped(words, font, width)
        if len(lines) <= most and all(font.getbbox(line)[2] <= width for line in lines):
            return font, "\n".join(lines)
        if size <= _LEAST_LETTER:
            break
        size = max(_LEAST_LETTER, size * 0.9)
    lines = [_cut(line, font, width) for line in lines[:most]]
    return font, "\n".join(lines)


def _wrapped(words: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> list[str]:
    lines: list[str] = []
    for word in words.split():
        if lines and font.getbbox(f"{lines[-1]} {word}")[2] <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


def _cut(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    while len(line) > 1 and font.getbbox(f"{line}…")[2] > width:
        line = line[:-1]
    return line if font.getbbox(line)[2] <= width else f"{line}…"
