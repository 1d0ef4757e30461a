"""Lines of words: which font draws which run, in which direction and place."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image, ImageChops, ImageDraw, features

from ganlib.base.errors import DataError
from ganlib.media.lettering.faces import Face, bundled_face, open_face, system_face

LEAST = 7.0  # pixels; smaller letters are not read
_JOINERS = "\u200d"
_PICTURE = "\ufe0f"  # asks for the coloured variant
_RIGHT, _LEFT = ("R", "AL"), ("L",)
# Scripts whose letters change their form or place beside others.
_SHAPED = ((0x0600, 0x08FF), (0x0900, 0x0DFF), (0x0E00, 0x109F), (0x1780, 0x18AF), (0x1A00, 0x1CFF), (0xA840, 0xABFF))
Direction = Literal["ltr", "rtl"]


def can_shape() -> bool:
    """Whether Pillow has raqm, with which letters join and marks find their places."""
    return bool(features.check("raqm"))


@dataclass(frozen=True)
class _Run:
    """Letters of one font and one direction."""

    face: Face
    letters: str
    direction: Direction


class Letters:
    """Measures and draws words with the font that a person names, the bundled one, and those of the system, in this
    order for every letter; what no font has is left out, and `warnings` names it."""

    def __init__(self, font: Path | None = None, *, system: bool = True) -> None:
        """`font`: a file that comes before all others; None means none. `system`: whether fonts of the system are
        looked for. Raises DataError for a file that is no font."""
        self._faces = ([] if font is None else [open_face(font)]) + [bundled_face()]
        self._system = system

    def warnings(self, words: str) -> list[str]:
        """What to say of words that cannot be drawn as they should be; empty where there is nothing."""
        said = []
        unknown = "".join(dict.fromkeys(c for c in _clusters(words) if not c.isspace() and self._face(c) is None))
        if unknown:
            said.append(f"no font here has {unknown[:60]}: left out; --font names one, or install one such as Noto")
        if not can_shape() and any(low <= ord(c) <= high for c in words for low, high in _SHAPED):
            said.append("letters are not joined or moved as this script needs it: Pillow has no raqm here")
        return said

    def length(self, line: str, size: float) -> float:
        """Width of one line in pixels, at letters of `size` pixels."""
        return math.fsum(_length(run, size) for run in self._runs(line))

    def fit(self, words: str, size: float, width: float, *, most: int) -> tuple[float, list[str]]:
        """Return the size, at most `size`, and at most `most` lines no wider than `width` pixels; where even the
        smallest letters are too wide, the end is left out."""
        size = max(8.0, size)
        while True:
            lines = self._wrapped(words, size, width)
            if len(lines) <= most and all(self.length(line, size) <= width for line in lines):
                return size, lines
            if size <= LEAST:
                return size, [self._cut(line, size, width) for line in lines[:most]]
            size = max(LEAST, size * 0.9)

    def draw(
        self, lines: Sequence[str], size: float, colour: tuple[int, int, int], *, centred: bool = False
    ) -> Image.Image:
        """Return RGBA with the lines below each other, as large as what is drawn. A line that begins in a script from
        right to left stands at the right. Raises DataError for a damaged font."""
        runs = [self._runs(line) for line in lines]
        widths = [math.fsum(_length(run, size) for run in row) for row in runs]
        step, pad = size * 1.3, math.ceil(size)
        whole = (math.ceil(max(widths, default=0)) + 2 * pad, math.ceil(step * len(lines)) + 2 * pad)
        ink, pictures = Image.new("L", whole), Image.new("RGBA", whole)
        for number, (line, row, width) in enumerate(zip(lines, runs, widths, strict=True)):
            room = max(widths) - width
            x = pad + (room / 2 if centred else room if _base(line) == "rtl" else 0)
            baseline = pad + size + number * step
            for run in row:
                _lay(run, size, (x, baseline), ink, pictures)
                x += _length(run, size)
        block = Image.new("RGBA", whole, colour)
        block.putalpha(ink)
        block.alpha_composite(pictures)
        return block.crop(block.getchannel("A").getbbox() or (0, 0, 1, 1))

    # --- fonts for letters -------------------------------------------------------------------------------------------

    def _face(self, cluster: str, before: Face | None = None) -> Face | None:
        """The first font with all letters of a cluster; for spaces the one of the letters before them."""
        letters = "".join(dict.fromkeys(c for c in cluster if not _is_mute(c)))
        if before is not None and not before.is_coloured and not letters.strip() and before.has(letters):
            return before
        if _PICTURE in cluster and self._system and (face := system_face(letters)) is not None and face.is_coloured:
            return face
        known = next((face for face in self._faces if face.has(letters)), None)
        return known or (system_face(letters) if self._system else None)

    def _runs(self, line: str) -> list[_Run]:
        """Runs from the left to the right as they are drawn."""
        base = _base(line)
        stretches: list[tuple[Direction, list[_Run]]] = []
        for direction, clusters in _directed(line, base):
            runs: list[_Run] = []
            for cluster in clusters:
                face = self._face(cluster, runs[-1].face if runs else None)
                if face is None:
                    continue
                if runs and runs[-1].face is face:
                    runs[-1] = _Run(face, runs[-1].letters + cluster, direction)
                else:
                    runs.append(_Run(face, cluster, direction))
            stretches.append((direction, runs[::-1] if direction == "rtl" else runs))
        return [run for _, runs in (stretches[::-1] if base == "rtl" else stretches) for run in runs]

    # --- lines --------------------------------------------------------------------------------------------------------

    def _wrapped(self, words: str, size: float, width: float) -> list[str]:
        lines: list[str] = []
        for space, piece in _pieces(words):
            if lines and self.length(f"{lines[-1]}{space}{piece}", size) <= width:
                lines[-1] += space + piece
            else:
                lines.append(piece)
        return lines or [""]

    def _cut(self, line: str, size: float, width: float) -> str:
        if self.length(line, size) <= width:
            return line
        clusters = list(_clusters(line))
        while len(clusters) > 1 and self.length("".join(clusters) + "…", size) > width:
            clusters.pop()
        return "".join(clusters) + "…"


def _is_mute(letter: str) -> bool:
    """Whether it has no picture of its own: joiners, directions, variants."""
    return unicodedata.category(letter) in ("Cf", "Cc") or 0xFE00 <= ord(letter) <= 0xFE0F


def _clusters(line: str) -> Iterator[str]:
    """Letters with the marks that belong to them, and the parts of one emoji."""
    cluster = ""
    for letter in unicodedata.normalize("NFC", line):
        is_flag = len(cluster) == 1 and all(0x1F1E6 <= ord(c) <= 0x1F1FF for c in cluster + letter)
        is_mark = unicodedata.category(letter) in ("Mn", "Mc", "Me") or 0x1F3FB <= ord(letter) <= 0x1F3FF
        belongs = is_mark or _is_mute(letter)
        if cluster and (belongs or is_flag or cluster[-1] in _JOINERS):
            cluster += letter
        else:
            if cluster:
                yield cluster
            cluster = letter
    if cluster:
        yield cluster


def _base(line: str) -> Direction:
    """The direction of a line: that of its first letter that has one."""
    kinds = map(unicodedata.bidirectional, line)
    return "rtl" if next((kind for kind in kinds if kind in _RIGHT + _LEFT), "L") in _RIGHT else "ltr"


def _directed(line: str, base: Direction) -> list[tuple[Direction, list[str]]]:
    """The line in stretches of one direction, in the order written. Digits go with the letter before them; signs and
    spaces between two of a direction go with them, others with the line."""
    clusters = list(_clusters(line))
    strong: list[Direction | None] = []
    last = base
    for cluster in clusters:
        kind = unicodedata.bidirectional(cluster[0])
        last = "rtl" if kind in _RIGHT else "ltr" if kind in _LEFT else last
        strong.append(last if kind in (*_RIGHT, *_LEFT, "EN", "AN") else None)
    after: list[Direction] = [base] * (len(clusters) + 1)
    for i in range(len(clusters) - 1, -1, -1):
        after[i] = strong[i] or after[i + 1]
    stretches: list[tuple[Direction, list[str]]] = []
    before = base
    for i, cluster in enumerate(clusters):
        own = strong[i] or (before if before == after[i] else base)
        before = strong[i] or before
        if stretches and stretches[-1][0] == own:
            stretches[-1][1].append(cluster)
        else:
            stretches.append((own, [cluster]))
    return stretches


def _pieces(words: str) -> Iterator[tuple[str, str]]:
    """What stays together on a line, each with what stands before it on the same line. Wide letters, as of Japanese,
    stand alone; closing signs stay with the letter before them."""
    for number, word in enumerate(words.split()):
        space, piece = " " if number else "", ""
        for cluster in _clusters(word):
            is_wide = unicodedata.east_asian_width(cluster[0]) in "WF"
            closes = unicodedata.category(cluster[0]) in ("Pe", "Pf", "Po")
            if piece and not closes and (is_wide or unicodedata.east_asian_width(piece[-1]) in "WF"):
                yield space, piece
                space, piece = "", ""
            piece += cluster
        yield space, piece


def _drawn(run: _Run) -> tuple[str, str | None]:
    """The letters and the direction for Pillow; without raqm letters from right to left are turned round here."""
    if can_shape():
        return run.letters, run.direction
    shown = "".join(c for c in run.letters if not _is_mute(c))
    return "".join(reversed(list(_clusters(shown)))) if run.direction == "rtl" else shown, None


@contextmanager
def _told(face: Face) -> Iterator[None]:
    """Raise DataError where a font turns out to be damaged."""
    try:
        yield
    except OSError as error:
        raise DataError(f"the font {face.name[:80]} is damaged: {error}", "Choose another font.") from error


def _length(run: _Run, size: float) -> float:
    font, factor = run.face.at(size)
    letters, direction = _drawn(run)
    with _told(run.face):
        return font.getlength(letters, direction=direction) * factor


def _lay(run: _Run, size: float, place: tuple[float, float], ink: Image.Image, pictures: Image.Image) -> None:
    """Draw a run with its start and baseline at `place`: letters into `ink` L, coloured ones into `pictures` RGBA."""
    font, factor = run.face.at(size)
    letters, direction = _drawn(run)
    with _told(run.face):
        if not run.face.is_coloured:
            layer = Image.new("L", ink.size)
            ImageDraw.Draw(layer).text(place, letters, fill=255, font=font, anchor="ls", direction=direction)
            ink.paste(ImageChops.lighter(ink, layer))
            return
        left, top, right, bottom = font.getbbox(letters, anchor="ls", direction=direction)
        large = Image.new("RGBA", (max(1, math.ceil(right - left)), max(1, math.ceil(bottom - top))))
        pen = ImageDraw.Draw(large)
        pen.text((-left, -top), letters, font=font, anchor="ls", embedded_color=True, direction=direction)
    small = large.resize((max(1, round(large.width * factor)), max(1, round(large.height * factor))))
    at = (max(0, round(place[0] + left * factor)), max(0, round(place[1] + top * factor)))
    pictures.alpha_composite(small, at)
