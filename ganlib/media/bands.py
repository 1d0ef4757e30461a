"""A picture file's rows a band at a time: a large PNG is then never whole in memory, unless whole is what is wanted."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import IO

from PIL import Image, ImageFile

BAND_PIXELS = 1_000_000  # of a band
LARGE_PIXELS = 8_000_000  # a picture of no more is decoded whole
_CHUNK_BYTES = 1 << 20  # read of the file at a time
_MOST_CHUNKS = 1_000_000
_MOST_TOLD = 1 << 20  # bytes of a profile or palette; common ones have thousands
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by a PNG's colour type
_TOLD = (b"PLTE", b"tRNS", b"iCCP", b"sRGB")  # what a band needs to know of the picture


def bands(picture: Image.Image, times: int = 1) -> Iterator[Image.Image]:
    """Yield a picture from top to bottom, each band so many rows that `times` divides them, but the last.

    Bands have the picture's mode, palette, transparency and colour profile. Raises what Pillow does for damage.
    """
    width, height = picture.size
    rows = max(1, BAND_PIXELS // (max(1, width) * times)) * times
    parts = _parts(picture) if isinstance(picture, ImageFile.ImageFile) else None
    if parts is not None:
        assert isinstance(picture, ImageFile.ImageFile)
        yield from _unpacked(picture, parts, rows)
    elif rows >= height:
        yield picture
    else:
        for top in range(0, height, rows):
            yield picture.crop((0, top, width, min(top + rows, height)))


def is_banded(file: ImageFile.ImageFile) -> bool:
    """Whether `bands` unpacks a picture in parts: a large PNG of 8 bits, not interlaced, not animated."""
    return _parts(file) is not None


def _parts(file: ImageFile.ImageFile) -> tuple[bytes, list[tuple[int, int]]] | None:
    """What every band of a PNG begins with, behind its size, and where its pixels are: offsets and lengths.

    None for what has to be decoded whole."""
    is_large = file.width * file.height > LARGE_PIXELS
    if file.format != "PNG" or file.fp is None or not is_large or getattr(file, "is_animated", False):
        return None
    before, at = file.fp.tell(), len(_SIGNATURE)
    told, packed = [], list[tuple[int, int]]()
    try:
        for _ in range(_MOST_CHUNKS):
            file.fp.seek(at)
            head = file.fp.read(8)
            if len(head) < 8:
                break
            length, kind = struct.unpack(">I4s", head)
            if kind == b"IDAT":
                packed.append((at + 8, length))
            elif kind == b"IEND":
                break
            elif packed:
                return None  # what stands behind the pixels, such as EXIF, is found by decoding all
            elif kind == b"IHDR":
                header = file.fp.read(13)
                if len(header) < 13 or header[8] != 8 or header[12] or header[9] not in _CHANNELS:
                    return None
            elif kind in _TOLD and length > _MOST_TOLD:
                return None  # every band would hold it
            elif kind in _TOLD:
                told.append(head + file.fp.read(length + 4))
            at += length + 12
        return (b"".join(told), packed) if packed else None
    finally:
        file.fp.seek(before)


def _unpacked(
    file: ImageFile.ImageFile, parts: tuple[bytes, list[tuple[int, int]]], rows: int
) -> Iterator[Image.Image]:
    """Each band is decoded as a PNG of its own, below the row that its first row may be told relative to."""
    assert file.fp is not None
    file.fp.seek(len(_SIGNATURE) + 8)
    header = file.fp.read(13)
    width, height = file.size
    row_bytes = 1 + width * _CHANNELS[header[9]]
    stream, above = _Inflated(file.fp, parts[1]), b""
    for top in range(0, height, rows):
        count = min(rows, height - top)
        packed = above + stream.take(count * row_bytes)
        first = int(bool(above))
        size = struct.pack(">II", width, count + first)
        chunks = _chunk(b"IHDR", size + header[8:]) + parts[0] + _chunk(b"IDAT", zlib.compress(packed, 0))
        del packed
        with Image.open(BytesIO(_SIGNATURE + chunks + _chunk(b"IEND", b"")), formats=("PNG",)) as band:
            band.load()
            above = b"\0" + band.crop((0, count + first - 1, width, count + first)).tobytes()
            yield band.crop((0, 1, width, count + 1)) if first else band


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


class _Inflated:
    """The unpacked bytes of the pieces of a zlib stream, as many at a time as are asked for."""

    def __init__(self, file: IO[bytes], pieces: list[tuple[int, int]]) -> None:
        self._packed = self._read(file, pieces)
        self._stream = zlib.decompressobj()

    @staticmethod
    def _read(file: IO[bytes], pieces: list[tuple[int, int]]) -> Iterator[bytes]:
        for at, length in pieces:
            for start in range(at, at + length, _CHUNK_BYTES):
                file.seek(start)
                yield file.read(min(_CHUNK_BYTES, at + length - start))

    def take(self, count: int) -> bytes:
        out = bytearray()
        while len(out) < count:
            packed = self._stream.unconsumed_tail or next(self._packed, b"")
            unpacked = b"" if self._stream.eof else self._stream.decompress(packed, count - len(out))
            if not packed and not unpacked:  # without input, what zlib still holds comes out
                raise OSError("image file is truncated")
            out += unpacked
        return bytes(out)
