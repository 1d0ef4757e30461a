"""What a film says about itself: its recipe, model and licence, written into the file and read back."""

from __future__ import annotations

import html
import re
import shutil
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from ganlib.base.errors import DataError, GanlibError
from ganlib.base.filesystem import open_regular, read_text_regular
from ganlib.dataset.files import open_zip
from ganlib.media.ffmpeg import input_of, open_reader
from ganlib.models.checkpoints import find_checkpoint, read_card

if TYPE_CHECKING:
    from ganlib.render.renderer import Renderer
    from ganlib.video.job import RenderJob

KEY = "latent-atelier"
_MOST_BYTES = 8 * 2**20
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:la="https://latent-atelier.invalid/" la:film="{}"/></rdf:RDF></x:xmpmeta>'
)
_XMP_FILM = re.compile(r'la:film="([^"]*)"')


def description(job: RenderJob, renderer: Renderer) -> dict[str, Any]:
    """What is written inside a film: the settings, and the model by name, digest and licence instead of its path.

    Files of sound and logo are named without their folders.
    """
    settings = {key: value for key, value in job.to_dict().items() if key not in ("network", "device")}
    for name in ("sound", "logo", "font"):
        settings[name] = Path(settings[name]).name
    found = {KEY: 1, "model": renderer.name, "digest": renderer.digest, "video": settings}
    try:
        card = read_card(find_checkpoint(job.network))
    except GanlibError:  # a generator that is in no file
        return found
    if card.digest == renderer.digest:
        found |= {"licence": card.licence, "data": card.data}
    return found


def text_of_pictures(path: Path) -> str:
    """Return what the zip or folder of a film's pictures holds; raises as its reading does, like its siblings."""
    if path.is_dir():
        return read_text_regular(path / "film.json", max_bytes=_MOST_BYTES)
    with open_zip(path) as archive, archive.open("film.json") as file:
        return file.read(_MOST_BYTES).decode()


def comment_of_film(path: Path) -> str:
    """Return what a film that ffmpeg reads says as its comment."""
    with open_reader([*input_of(path), "-f", "ffmetadata", "-"]) as stream:
        lines = stream.read(_MOST_BYTES).decode("utf-8", errors="replace").splitlines()
    for line in lines:
        key, _, value = line.partition("=")
        if key.lower() == "comment":
            return re.sub(r"\\(.)", r"\1", value)
    return ""


def text_of_picture(path: Path) -> str:
    """Return what a moving picture says in its comment, text chunk or XMP."""
    with open_regular(path) as file, Image.open(file, formats=("GIF", "PNG", "WEBP")) as film:
        if film.format == "WEBP":
            xmp = film.info.get("xmp", b"")
            match = _XMP_FILM.search(xmp.decode("utf-8", errors="replace"))
            return html.unescape(match[1]) if match else ""
        text = film.info.get(KEY if film.format == "PNG" else "comment", "")
        return text.decode("utf-8", errors="replace") if isinstance(text, bytes) else str(text)


def into_gif(path: Path, dest: Path, comment: str) -> None:
    """Before the first frame, where readers look for it."""
    data = comment.encode("utf-8")
    blocks = b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255))
    with open_regular(path) as source, dest.open("wb") as out:
        head = source.read(13)  # signature and screen descriptor; its flags tell the size of the palette that follows
        palette = source.read(3 << ((head[10] & 7) + 1)) if head[10] & 0x80 else b""
        out.write(head + palette + b"\x21\xfe" + blocks + b"\x00")
        shutil.copyfileobj(source, out)


def into_png(path: Path, dest: Path, comment: str) -> None:
    """An iTXt chunk after the header."""
    body = b"iTXt" + KEY.encode() + b"\x00\x00\x00\x00\x00" + comment.encode("utf-8")
    with open_regular(path) as source, dest.open("wb") as out:
        out.write(source.read(33))  # signature and IHDR
        out.write(struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)))
        shutil.copyfileobj(source, out)


def into_webp(path: Path, dest: Path, comment: str) -> None:
    """An XMP chunk at the end, and the flag for it in the header."""
    body = _XMP.format(html.escape(comment).replace("\n", "&#10;")).encode("utf-8")
    chunk = b"XMP " + struct.pack("<I", len(body)) + body + b"\x00" * (len(body) % 2)
    with open_regular(path) as source, dest.open("wb") as out:
        head = bytearray(source.read(30))
        if head[12:16] != b"VP8X":
            raise DataError(f"{path.name} is no animated WebP", "Render it again.")
        head[20] |= 0x04
        head[4:8] = struct.pack("<I", struct.unpack("<I", head[4:8])[0] + len(chunk))
        out.write(head)
        shutil.copyfileobj(source, out)
        out.write(chunk)
