"""What is laid over a film: a caption, a logo, and a card with a title before it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, UnidentifiedImageError

from ganlib.base.errors import DataError
from ganlib.base.filesystem import read_regular, reason
from ganlib.media.images import MAX_FILE_BYTES
from ganlib.media.lettering import Letters
from ganlib.video.job import RenderJob

_INK, _GROUND = (250, 247, 242), (22, 20, 18)
_LOGO_SHARE = 0.14  # of the shorter side
_MARGIN = 0.03
_FADE_SHARE = 0.35  # of the card's time, in which it gives way to the film


class Overlay:
    """Caption and logo as one layer, and the card. The same for every frame of a film."""

    def __init__(self, job: RenderJob, size: tuple[int, int]) -> None:
        """`size` is (width, height) of the film. Raises DataError for a logo that is no
        picture and a font that is none."""
        self._job, self._size = job, size
        layer = Image.new("RGBA", size)
        letters = _letters(job)
        if job.caption:
            _write_caption(layer, job.caption, letters)
        if job.logo:
            _lay_logo(layer, _open_logo(Path(job.logo)), job.logo_corner, job.logo_opacity)
        self._box = layer.getbbox()
        self._layer = np.asarray(layer.crop(self._box), np.float32) if self._box else None
        self._card = _card(job.title, size, letters) if job.title else None

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


def _write_caption(layer: Image.Image, words: str, letters: Letters) -> None:
    width, height = layer.size
    side = min(width, height)
    size, lines = letters.fit(words, side * 0.05, width - 4 * side * _MARGIN, most=3)
    block = letters.draw(lines, size, _INK)
    x, bottom = round(side * _MARGIN), round(height - side * _MARGIN)
    y = max(0, bottom - block.height)
    pad = max(2.0, side * 0.012)
    plate = (x - pad, y - pad, x + block.width + pad, y + block.height + pad)
    ImageDraw.Draw(layer).rounded_rectangle(plate, radius=pad, fill=(*_GROUND, 150))
    layer.alpha_composite(block, (x, y))


def _open_logo(path: Path) -> Image.Image:
    try:
        data = read_regular(path, max_bytes=MAX_FILE_BYTES)
        with Image.open(BytesIO(data), formats=("PNG", "WEBP", "JPEG", "GIF")) as file:
            return file.convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        is_other = isinstance(error, UnidentifiedImageError)
        why = "is no PNG, WebP, JPEG or GIF" if is_other else f"cannot be read: {reason(error)}"
        raise DataError(f"the logo {path.name} {why}", "Choose a PNG file with alpha.") from error


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


def _card(words: str, size: tuple[int, int], letters: Letters) -> np.ndarray:
    card = Image.new("RGBA", size, _GROUND)
    height, lines = letters.fit(words, min(size) * 0.11, size[0] * 0.86, most=5)
    block = letters.draw(lines, height, _INK, centred=True)
    card.alpha_composite(block, (max(0, (size[0] - block.width) // 2), max(0, (size[1] - block.height) // 2)))
    return np.asarray(card.convert("RGB"), np.float32)


def letter_warnings(job: RenderJob) -> list[str]:
    """What to say of a film's words that cannot be drawn as they should be; empty where there is nothing. Raises
    DataError for a `font` that is none."""
    words = f"{job.title} {job.caption}".strip()
    return _letters(job).warnings(words) if words else []


def _letters(job: RenderJob) -> Letters:
    return Letters(Path(job.font) if job.font else None)
