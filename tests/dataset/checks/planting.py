"""Copies as people make them: cropped a little, resized, mirrored, saved again in another format."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

KINDS = (("JPEG", ".jpg"), ("WEBP", ".webp"), ("PNG", ".png"))


def planted(source: Path, dest: Path, *, pictures: int, copies: int, seed: int = 0) -> dict[str, tuple[str, bool]]:
    """Write a zip of some pictures of `source` and copies of some of these; return copy → its original, mirrored."""
    rng = np.random.default_rng(seed)
    truth = {}
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(dest, "w") as out:
        names = sorted(name for name in archive.namelist() if name.endswith((".jpg", ".png")))
        chosen = [names[i] for i in rng.permutation(len(names))[:pictures]]
        for name in chosen:
            out.writestr(name, archive.read(name))
        for i, name in enumerate(chosen[:copies]):
            mirrored = i % 5 == 4
            kind, suffix = KINDS[i % 3]
            copy = f"copy-{i:03d}{suffix}"
            with Image.open(BytesIO(archive.read(name))) as file:
                out.writestr(copy, _copied(file.convert("RGB"), kind, mirrored, rng))
            truth[copy] = (name, mirrored)
    return truth


def _copied(picture: Image.Image, kind: str, mirrored: bool, rng: np.random.Generator) -> bytes:
    width, height = picture.size
    left, top, right, bottom = rng.uniform(0, 0.04, 4)
    box = (round(left * width), round(top * height), round((1 - right) * width), round((1 - bottom) * height))
    picture = picture.crop(box)
    if mirrored:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    scale = rng.uniform(0.6, 1.3)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BICUBIC)
    buffer = BytesIO()
    picture.save(buffer, kind, quality=int(rng.integers(60, 90)))
    return buffer.getvalue()
