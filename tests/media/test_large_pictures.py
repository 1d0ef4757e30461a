"""Looking at pictures of nearly 64 megapixels: little memory, whatever their format and however many look at once."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from ganlib.base.errors import DataError
from ganlib.compute.device import Room
from ganlib.dataset import Dataset, PrepareConfig
from ganlib.dataset.preview import mosaic, preview
from ganlib.media import bands, headers, images

SIDE = 7680
MOST_MEBIBYTES = 450  # beside what the process has when idle; a server that has 500 then stays below 1,000
LOOKING = """
import resource, sys, threading
from pathlib import Path
from ganlib.dataset import PrepareConfig
from ganlib.dataset.preview import mosaic, preview
from ganlib.compute.device import tune_allocator
from ganlib.media.images import look_at
tune_allocator()
folder, wrong = Path(sys.argv[1]), []
def mebibytes(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def tell(look):
    try: look()
    except BaseException as error: wrong.append(error)
def cut(): preview(PrepareConfig(str(folder), "x.zip", 512, crop="center"), count=2)
def wide(): look_at(next(folder.iterdir()))
before = mebibytes()
threads = [threading.Thread(target=tell, args=(look,)) for look in [lambda: mosaic(folder, count=2)] * 4 + [cut, wide]]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(mebibytes() - before if not wrong else wrong)
"""
CHANNELS = {0: 1, 2: 3, 6: 4}


def large_png(side: int = SIDE, kind: int = 2, depth: int = 8, height: int = 0) -> bytes:
    """A PNG of vertical stripes, of a colour type, written row by row."""
    row = np.random.default_rng(kind).integers(0, 256, side * CHANNELS[kind] * depth // 8, np.uint8).tobytes()
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(b"\0" + row) for _ in range(height or side)) + packer.flush()
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", side, height or side, depth, kind, 0, 0, 0)), (b"IDAT", packed)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in [*chunks, (b"IEND", b"")]
    )


def jpeg(progressive: bool) -> bytes:
    out = BytesIO()
    Image.new("RGB", (SIDE, SIDE), (90, 120, 30)).save(out, "JPEG", progressive=progressive)
    return out.getvalue()


@pytest.mark.skipif(sys.platform != "linux", reason="measures as Linux does")
@pytest.mark.parametrize("kind", ["rgb", "rgba", "16 bits", "progressive jpeg"])
def test_several_looks_at_once_at_large_pictures_take_little_memory(tmp_path: Path, kind: str) -> None:
    match kind:
        case "rgb":
            data = large_png()
        case "rgba":
            data = large_png(kind=6)
        case "16 bits":
            data = large_png(kind=0, depth=16)
        case _:
            data = jpeg(progressive=True)
    for number in range(3):
        (tmp_path / f"{number}.{'jpg' if 'jpeg' in kind else 'png'}").write_bytes(data)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    told = subprocess.run(
        [sys.executable, "-c", LOOKING, str(tmp_path)], env=environment, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert float(told) < MOST_MEBIBYTES, told


def saved(picture: Image.Image, **options: object) -> bytes:
    out = BytesIO()
    picture.save(out, "PNG", **options)
    return out.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16"])
def test_what_is_decoded_in_bands_is_what_is_decoded_whole(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (210, 102, 4), np.uint8)
    smooth = np.sort(noise, axis=0)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    for pixels in (noise, smooth):  # each chooses other filters
        picture = Image.fromarray(pixels)
        picture = picture.convert("RGB").quantize(200) if mode == "P" else picture
        picture = Image.fromarray(pixels[..., 0].astype(np.uint16) * 200) if mode == "I;16" else picture.convert(mode)
        for options in ({}, {"icc_profile": profile}, {"exif": exif}, {"transparency": 3} if mode in "PL" else {}):
            data = saved(picture, **options)
            whole = [images.decode(data, background=ground) for ground in ((9, 200, 30), None)]
            with monkeypatch.context() as patch:
                patch.setattr(bands, "LARGE_PIXELS", 100)
                patch.setattr(bands, "BAND_PIXELS", 5000)
                with headers.open_header(data) as file:
                    assert bands.is_banded(file) == (mode not in ("1", "I;16"))
                banded = [images.decode(data, background=ground) for ground in ((9, 200, 30), None)]
            for one, other in zip(whole, banded, strict=True):
                np.testing.assert_array_equal(one, other)
            least = np.asarray(Image.fromarray(whole[0]).reduce(3))
            small = images.look(data, background=(9, 200, 30), look_pixels=210 * 102 // 9)
            assert small.times == 3 and np.array_equal(small.pixels, least)


def test_a_large_png_that_is_cut_off_is_told_as_a_small_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bands, "LARGE_PIXELS", 100)
    data = large_png(300)
    for cut in (data[: len(data) // 2], data[:400]):
        with pytest.raises(DataError, match=r"cut\.png is damaged or cut off"):
            images.decode(cut, name="cut.png")


def test_a_preview_of_a_large_picture_says_what_the_preparation_does(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(large_png(3000, height=2000))
    for side, words in ((2048, ""), (4096, "too small")):
        config = PrepareConfig(str(tmp_path), "x.zip", side, crop="center")
        (found,) = preview(config)
        assert (words in found.words.lower()) and bool(found.words) == bool(words), found.words
    assert mosaic(tmp_path).found == 1


def test_a_small_copy_of_a_large_one_in_a_set_is_the_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(large_png(4096, kind=0))
    dataset = Dataset.open(tmp_path, mirror=True)
    for i in (0, 1):
        apart = np.abs(dataset.small(i, 64).astype(int) - images.resize(dataset[i][0], 64, 64))
        assert apart.max() < 12
    assert dataset.small(0, 4096).shape == (4096, 4096, 3)


def test_a_room_holds_no_more_than_its_size_and_serves_in_turn() -> None:
    room, inside, most, guard = Room(10, 100), [0], [0], threading.Lock()

    def work(amount: int) -> None:
        with room.take(amount), room.take(amount):  # inside already: no second wait
            with guard:
                inside[0] += amount
                most[0] = max(most[0], inside[0])
            threading.Event().wait(0.005)
            with guard:
                inside[0] -= amount

    threads = [threading.Thread(target=work, args=(amount,)) for amount in (1, 10, 4, 4, 4, 10, 3, 9) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert not any(thread.is_alive() for thread in threads) and 4 < most[0] <= 10
    with room.take(1000):  # larger than the room: alone in it
        pass
