"""The formats of films, one row each: everything that lists, tests, writes or reads a film reads them here."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import UnidentifiedImageError

from ganlib.base.errors import DataError, GanlibError, InputError
from ganlib.base.options import format_choices
from ganlib.runs import replacing
from ganlib.video import codecs, muxing
from ganlib.video import container as inside

if TYPE_CHECKING:
    from ganlib.video.job import RenderJob


@dataclass(frozen=True)
class FilmFormat:
    """One kind of film."""

    name: str
    title: str
    """For people."""
    about: str
    """What it is, in a few words."""
    suffixes: tuple[str, ...]
    """What its films are called, the usual first; without suffix they are folders."""
    finish: Callable[[muxing.Pieces, Path], None]
    """Writes the file, or into the folder, of all pieces."""
    coding: Callable[[RenderJob, int], list[str]] = codecs.code_lossless
    """ffmpeg's options for a piece of so many frames."""
    piece_suffix: str = ".mkv"
    is_streamed: bool = False
    """Whether it has even sides, crf and bitrate, and coded pieces are joined without coding them again."""
    has_codecs: bool = False
    """Whether `codec` decides how it is coded."""
    container: tuple[str, ...] = ()
    """ffmpeg's options for the file that streamed pieces are joined to."""
    sound: tuple[str, ...] = ()
    """ffmpeg's codec of the track and its options; empty where a film has no sound."""
    is_picture: bool = False
    """Whether a browser shows it as a picture."""
    has_size_limit: bool = False
    """Whether it can be made smaller until it keeps a limit."""
    most_fps: float = 120
    """Most frames per second."""
    share: float = 1.0
    """Its size as a share of its pieces', roughly, as finished films had."""
    at_once: Callable[[int, bool, str, str], list[str]] | None = None
    """ffmpeg's options for frames that come in one go, from crf, whether it loops, title and comment."""
    has_palette: bool = False
    """Whether a picture of the colours is then an input of ffmpeg before these options."""
    insert: Callable[[Path, Path, str], None] | None = None
    """Copies a film and puts a comment into it; None where it is written with one."""
    comment_of: Callable[[Path], str] | None = None
    """Reads the comment; None where films of this format hold none."""

    def check_fps(self, fps: float) -> None:
        """Raise InputError for more frames per second than it shows."""
        if fps > self.most_fps:
            hint = f"use a number from 1 to {self.most_fps:g}, or mp4"
            raise InputError(f"fps = {fps:g} is not possible for a {self.name}", hint)

    def insert_comment(self, path: Path, comment: str) -> None:
        """Put a comment into a finished film, where it is not written with one."""
        if self.insert is not None:
            with replacing(path, durable=False) as commented:
                self.insert(path, commented, comment)


def _mp4_at_once(crf: int, loop: bool, title: str, comment: str) -> list[str]:
    words = ["-metadata", f"title=Latent Atelier: {title}", "-metadata", f"comment={comment}"]
    return ["-an", *codecs.h264_options(crf), *words, *_MP4]


def _gif_at_once(crf: int, loop: bool, title: str, comment: str) -> list[str]:
    return ["-lavfi", f"paletteuse={muxing.BAYER}", "-loop", "0" if loop else "-1", "-f", "gif"]


_MP4 = ("-movflags", "+faststart", "-f", "mp4")
_ROWS = (
    FilmFormat(
        "mp4", "MP4", "H.264, which plays everywhere, or H.265; 8 bit 4:2:0", (".mp4",), muxing.join_streamed,
        codecs.code_mp4, ".mp4", is_streamed=True, has_codecs=True, container=_MP4, sound=("aac", "-b:a", "192k"),
        at_once=_mp4_at_once, comment_of=inside.comment_of_film,
    ),
    FilmFormat(
        "webm", "WebM", "VP9", (".webm",), muxing.join_streamed, codecs.code_webm, ".webm", is_streamed=True,
        container=("-f", "webm"), sound=("libopus", "-b:a", "160k"), comment_of=inside.comment_of_film,
    ),
    FilmFormat(
        "gif", "GIF", "one palette of at most 256 colours", (".gif",), muxing.code_gif, is_picture=True,
        has_size_limit=True, most_fps=50, share=0.45, at_once=_gif_at_once, has_palette=True, insert=inside.into_gif,
        comment_of=inside.text_of_picture,
    ),
    FilmFormat(
        "webp", "WebP", "animated, of the quality that crf stands for", (".webp",), muxing.code_webp, is_picture=True,
        share=0.12, insert=inside.into_webp, comment_of=inside.text_of_picture,
    ),
    FilmFormat(
        "apng", "APNG", "animated PNG, lossless", (".png", ".apng"), muxing.code_apng, is_picture=True,
        insert=inside.into_png, comment_of=inside.text_of_picture,
    ),
    FilmFormat(
        "png", "PNG pictures", "a zip, or a new folder, of pictures", (".zip", ""), muxing.write_pictures,
        comment_of=inside.text_of_pictures,
    ),
)  # fmt: skip
FORMATS = {row.name: row for row in _ROWS}
"""Name → row, in the order in which they are offered. What is added is a format everywhere."""


def format_of(path: Path) -> FilmFormat | None:
    """Return the format that a file's suffix names, a folder's for a folder; None where it names none."""
    suffix = "" if path.is_dir() else path.suffix.lower()
    return next((row for row in FORMATS.values() if suffix in row.suffixes), None)


def names_of(fact: str) -> str:
    """Return the formats for which a fact is so, in words: `mp4 or webm`."""
    return format_choices([row.name for row in FORMATS.values() if getattr(row, fact)])


def suffix_words(names: Collection[str]) -> str:
    """Return how films of these formats may end, in words: `.mp4 or .gif`."""
    suffixes = [FORMATS[name].suffixes for name in names]
    return format_choices([each[0] for each in suffixes] + ["a new folder"] * any("" in each for each in suffixes))


def read_description(path: Path) -> dict[str, Any]:
    """Return what a film of this studio says about itself: `model`, `digest`, `licence`, `data` and `video`.

    `video` are the settings, without `network` and `device`: with a network they are `RenderJob.from_dict`'s. Works for
    every format of film. Raises DataError for other files.
    """
    path = Path(path)
    try:
        row = format_of(path)
        found = json.loads(row.comment_of(path)) if row and row.comment_of else {}
    except (
        OSError, ValueError, KeyError, GanlibError, zipfile.BadZipFile, UnidentifiedImageError, RecursionError,
        SyntaxError,
    ) as error:  # fmt: skip
        raise DataError(f"{path.name} holds no recipe of a film", "Choose a film that this studio made.") from error
    if not isinstance(found, dict) or inside.KEY not in found:
        raise DataError(f"{path.name} holds no recipe of a film", "Choose a film that this studio made.")
    return found
