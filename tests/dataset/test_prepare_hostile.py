"""Thirty files that wish no good: each is used or refused with a line that a person understands."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganlib.dataset import Dataset, PrepareConfig, prepare

NOISE = np.random.RandomState(0).randint(0, 256, (96, 96, 3), np.uint8)


def saved(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is this large."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")


def inner_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.png", saved(Image.fromarray(NOISE)))
    return out.getvalue()


PICTURE = Image.fromarray(NOISE)
TALL = saved(Image.fromarray(np.concatenate([NOISE, NOISE])), "JPEG", quality=95)
PNG, JPEG = saved(PICTURE), saved(PICTURE, "JPEG", quality=95)
USED = {
    "plain.png": PNG,
    "cmyk.jpg": saved(PICTURE.convert("CMYK"), "JPEG"),
    "sixteen.png": saved(Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257)),
    "float.tif": saved(Image.fromarray(NOISE[..., 0].astype(np.float32) / 255), "TIFF"),
    "palette.gif": saved(PICTURE.convert("P"), "GIF"),
    "one bit.png": saved(PICTURE.convert("1")),
    "alpha.webp": saved(PICTURE.convert("RGBA"), "WEBP"),
    "lab.tif": saved(PICTURE.convert("LAB"), "TIFF"),
    "progressive.jpeg": saved(PICTURE, "JPEG", progressive=True),
    "Ärger 日本 🍐.png": PNG,
    "-rf.png": PNG,
    "late.jpg": TALL[: int(len(TALL) * 0.94)],
    "really a png.jpg": PNG,
    "quote\"'$(ls).png": PNG,
}
REFUSED = {
    "bomb.png": (claiming(20_000, 20_000), "pixels"),
    "huge.png": (claiming(2**31 - 1, 2**31 - 1), "p"),
    "wide.png": (claiming(60_000_000, 2), "pixels"),
    "none.png": (claiming(0, 0), "damaged"),
    "early.jpg": (JPEG[: int(len(JPEG) * 0.3)], "cut off"),
    "early.png": (PNG[: len(PNG) // 2], "cut off"),
    "text.png": (b"Dear reader,\nthis is a letter.", "text"),
    "zero.jpg": (b"", "empty"),
    "nulls.webp": (bytes(5000), "picture"),
    "drawing.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
    "program.tif": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "EPS"),
    "zip.png": (inner_zip(), "zip"),
    "document.bmp": (b"%PDF-1.7\n", "PDF"),
    "photo.heic": (b"\0\0\0\x18ftypheic" + bytes(50), "HEIC"),
    "inner.zip": (inner_zip(), "unpack it"),
    "notes.txt": (b"hello", "not a picture file"),
}  # fmt: skip


def check(source: Path, dest: Path, used: set[str], refused: dict[str, str]) -> None:
    report = prepare(PrepareConfig(str(source), str(dest), 32, crop="center"))
    raw = report.report.read_text("utf-8").splitlines()
    lines = {line["name"]: line for line in map(json.loads, raw)}
    assert len(raw) == len(lines) == len(used) + len(refused) == 30
    assert {name for name, line in lines.items() if line["status"] == "kept"} == used
    for name, words in refused.items():
        reason = lines[name]["reason"]
        assert words in reason and reason.isprintable() and len(reason) < 200, (name, reason)
    assert "of its 192 rows" in lines["late.jpg"]["note"] and lines["late.jpg"]["box"][3] < 192
    assert len(Dataset.open(dest).pixels()) == len(used)


@pytest.mark.filterwarnings("ignore")
def test_a_folder_of_hostile_files_is_survived_with_a_line_for_each(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    used = dict(list(USED.items())[:-2])
    for name, data in used.items():
        (source / name).write_bytes(data)
    for name, (data, _) in REFUSED.items():
        (source / name).write_bytes(data)
    (source / "loop").symlink_to(source, target_is_directory=True)
    (source / "self.png").symlink_to(source / "self.png")
    extra = {"loop": "not followed", "self.png": "leads nowhere"}
    check(source, tmp_path / "out.zip", set(used), {k: words for k, (_, words) in REFUSED.items()} | extra)


@pytest.mark.filterwarnings("ignore")
def test_a_zip_of_hostile_names_is_survived_and_nothing_is_written_elsewhere(tmp_path):
    used = USED | {"../../up.png": PNG, "/etc/cron.png": PNG, "C:\\sys.png": PNG, "line\nbreak\x1b[2J.png": PNG}
    used = {name: data for name, data in used.items() if name not in ("one bit.png", "lab.tif", "float.tif", "-rf.png")}
    (tmp_path / "down").mkdir()
    with zipfile.ZipFile(tmp_path / "down" / "in.zip", "w") as archive:
        for name, data in used.items():
            archive.writestr(name, data)
        for name, (data, _) in REFUSED.items():
            archive.writestr(name, data)
    read = {name.replace("\\", "/") for name in used}  # zipfile writes it as it is, and other tools mean a slash
    check(tmp_path / "down" / "in.zip", tmp_path / "down" / "out.zip", read, {k: w for k, (_, w) in REFUSED.items()})
    assert [path.name for path in tmp_path.iterdir()] == ["down"]
    assert {path.name for path in (tmp_path / "down").iterdir()} == {"in.zip", "out.zip", "out.report.jsonl"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_in_the_folder_is_not_waited_for(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.png").write_bytes(PNG)
    os.mkfifo(source / "b.png")
    report = prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 32))
    assert report.kept == 1 and report.aside == {"a device or pipe, not a file": 1}
