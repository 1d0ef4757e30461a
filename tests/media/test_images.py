"""Pictures in and out: exact where it is our own, safe where it is a stranger's."""

import math
import struct
import warnings
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from ganlib.base.errors import DataError, InputError
from ganlib.media import headers, images

ROWS, COLUMNS = np.mgrid[:32, :48]
RAMP = np.stack([COLUMNS * 5, np.full((32, 48), 90), ROWS * 7], axis=-1).astype(np.uint8)


def saved(picture: Image.Image, kind: str, **options) -> bytes:
    out = BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


# --- the numbers ------------------------------------------------------------------------------------------------------


def test_pixels_are_x_times_127_5_plus_128_truncated():
    x = torch.tensor([-2.0, -1.0, -0.004, 0.0, 0.0078, 0.996, 1.0, 9.0]).view(1, 1, 2, 4)
    assert images.to_pixels(x)[0, :, :, 0].ravel().tolist() == [0, 0, 127, 128, 128, 254, 255, 255]


def test_axes_are_not_swapped():
    image = torch.zeros(2, 3, 4, 5)
    image[1, 2, 3, 1] = 1
    pixels = images.to_pixels(image)
    assert (
        pixels.shape == (2, 4, 5, 3)
        and pixels.dtype == np.uint8
        and np.argwhere(pixels == 255).tolist() == [[1, 3, 1, 2]]
    )
    back = images.from_pixels(pixels)
    assert back.shape == image.shape and back.dtype == torch.float32 and torch.equal(back == 1, image == 1)
    assert images.to_pixels(torch.zeros(1, 1, 4, 5)).shape == (1, 4, 5, 3)
    with pytest.raises(InputError):
        images.to_pixels(torch.zeros(1, 4, 4, 5))


def test_every_grey_level_survives_the_round_trip():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=-1)
    assert np.array_equal(images.to_pixels(images.from_pixels(pixels)), pixels)


# --- uploads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, tolerance", [("png", 0), ("bmp", 0), ("tiff", 0), ("ppm", 0), ("jpeg", 12), ("webp", 20)]
)
def test_usual_formats_are_read(kind, tolerance):
    got = images.decode(saved(Image.fromarray(RAMP), kind))
    assert got.shape == RAMP.shape and np.abs(got.astype(int) - RAMP).max() <= tolerance and got.flags.writeable


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff"])
def test_exif_orientation_is_applied(orientation, kind):
    stored = {
        1: RAMP,
        2: RAMP[:, ::-1],
        3: RAMP[::-1, ::-1],
        4: RAMP[::-1],
        5: RAMP.swapaxes(0, 1),
        6: np.rot90(RAMP, 1),
        7: RAMP[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(RAMP, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    got = images.decode(saved(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif))
    assert got.shape == RAMP.shape and np.abs(got.astype(int) - RAMP).max() <= (12 if kind == "jpeg" else 0)


def test_alpha_lies_on_white():
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[:2] = (200, 0, 0, 255)
    rgba[2] = (200, 0, 0, 51)
    got = images.decode(saved(Image.fromarray(rgba), "png"))
    assert got[0, 0].tolist() == [200, 0, 0] and got[3, 3].tolist() == [255, 255, 255]
    assert got[2, 0].tolist() == [244, 204, 204]
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    assert images.decode(saved(palette, "png", transparency=1)).tolist() == [[[10, 20, 30], [255, 255, 255]]]
    grey_alpha = Image.merge("LA", [Image.new("L", (2, 2), 40), Image.new("L", (2, 2), 0)])
    assert (images.decode(saved(grey_alpha, "png")) == 255).all()


def test_other_modes_are_read():
    assert images.decode(saved(Image.new("1", (3, 2), 1), "png")).tolist() == np.full((2, 3, 3), 255).tolist()
    grey = images.decode(saved(Image.new("L", (3, 2), 77), "png"))
    assert grey.shape == (2, 3, 3) and (grey == 77).all()
    cmyk = images.decode(saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "jpeg", quality=95))
    assert cmyk[8, 8, 0] > 230 and cmyk[8, 8, 1] < 30
    assert images.decode(saved(Image.new("LAB", (4, 4), (128, 128, 128)), "tiff"))[0, 0].std() < 3


def test_sixteen_bits_become_eight_by_scaling():
    values = np.array([[0, 257, 32768, 65535]], np.uint16)
    assert images.decode(saved(Image.fromarray(values), "png"))[0, :, 0].tolist() == [0, 1, 128, 255]
    assert images.decode(saved(Image.fromarray(values), "tiff"))[0, :, 0].tolist() == [0, 1, 128, 255]
    floats = Image.fromarray(np.array([[0, 0.5, 1.0]], np.float32))
    assert images.decode(saved(floats, "tiff"))[0, :, 0].tolist() == [0, 128, 255]


def test_of_an_animation_the_first_frame_is_taken():
    film = [Image.new("RGB", (8, 8), (250 - 100 * i, 0, 0)) for i in range(3)]
    for kind in ("gif", "webp", "png"):
        got = images.decode(saved(film[0], kind, save_all=True, append_images=film[1:]))
        assert got.shape == (8, 8, 3) and got[4, 4, 0] > 240, kind


def test_an_embedded_profile_is_converted_and_a_broken_one_ignored():
    grey = Image.new("RGB", (4, 4), (100, 150, 200))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert images.decode(saved(grey, "png", icc_profile=srgb))[0, 0].tolist() == [100, 150, 200]
    assert images.decode(saved(grey, "png", icc_profile=b"nonsense" * 40))[0, 0].tolist() == [100, 150, 200]
    swapped = bytearray(srgb)  # the same profile with the tags of its red and blue primaries exchanged, and renamed
    for i in range(128 + 4, 128 + 4 + 12 * struct.unpack(">I", srgb[128:132])[0], 12):
        if srgb[i : i + 4] in (b"rXYZ", b"bXYZ"):
            swapped[i : i + 4] = b"bXYZ" if srgb[i : i + 4] == b"rXYZ" else b"rXYZ"
    other = bytes(swapped).replace("sRGB".encode("utf-16-be"), "BGRs".encode("utf-16-be")).replace(b"sRGB", b"BGRs")
    got = images.decode(saved(grey, "png", icc_profile=other))[0, 0].astype(int)
    assert np.abs(got - [200, 150, 100]).max() <= 2


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [9_000, 12_000, 60_000])
def test_bombs_are_refused_before_decoding(side):
    with pytest.raises(DataError, match="pixels") as caught:
        images.decode(png_claiming(side, side), name="bomb.png")
    assert "bomb.png" in caught.value.message and caught.value.hint
    with warnings.catch_warnings(), pytest.raises(DataError):
        warnings.simplefilter("ignore")
        images.decode(png_claiming(side, side))


def test_what_is_not_a_picture_is_named():
    for data, words in {
        b"": "empty",
        b"Dear reader,\nthis is a letter.": "text",
        b"PK\x03\x04" + bytes(40): "zip archive",
        b"%PDF-1.7": "PDF",
        b"<svg xmlns=''/>": "SVG",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n": "EPS",
        b"\0\0\0\x18ftypheic": "HEIC",
        bytes(range(128, 256)): "no known",
        b"\x89PNG\r\n\x1a\n": "damaged",
    }.items():
        with pytest.raises(DataError, match=words) as caught:
            images.decode(data, name="my.png")
        assert "my.png" in caught.value.message and caught.value.hint


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif", "bmp", "tiff", "ppm", "avif"])
def test_cut_off_pictures_are_refused(kind):
    noise = np.random.RandomState(0).randint(0, 256, (64, 64, 3), np.uint8)
    data = saved(Image.fromarray(noise), kind)
    for share in (0.02, 0.3, 0.6, 0.9):
        with pytest.raises(DataError):
            images.decode(data[: int(len(data) * share)])


def test_of_a_jpeg_that_is_cut_off_late_the_upper_rows_are_used():
    noise = np.random.RandomState(0).randint(0, 256, (160, 120, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 3
    data = saved(Image.fromarray(noise), "jpeg", quality=95, exif=exif)
    whole = images.decode(data)
    assert images.decode_what_is_there(data)[1] == ""
    pixels, flaw = images.decode_what_is_there(data[: int(len(data) * 0.92)])
    assert "of its 160 rows" in flaw and pixels.shape[1] == 120 and 120 <= pixels.shape[0] <= 147
    assert np.abs(pixels.astype(int) - whole[160 - pixels.shape[0] :]).max() <= 2  # its lower part is lost, upside down
    for cut_off in (data[: int(len(data) * 0.6)], data[:700]):
        with pytest.raises(DataError, match="cut off"):
            images.decode_what_is_there(cut_off)
    progressive = saved(Image.fromarray(noise), "jpeg", progressive=True)
    assert images.decode(progressive).shape == (160, 120, 3)
    with pytest.raises(DataError, match="cut off"):
        images.decode_what_is_there(progressive[: int(len(progressive) * 0.95)])
    cmyk = saved(Image.fromarray(noise).convert("CMYK"), "jpeg")
    assert "rows" in images.decode_what_is_there(cmyk[: int(len(cmyk) * 0.95)])[1]


def test_transparency_lies_on_the_colour_asked_for():
    clear = saved(Image.new("RGBA", (2, 2), (200, 0, 0, 0)), "png")
    assert (images.decode(clear, background=(1, 2, 3)) == (1, 2, 3)).all()
    assert images.colour("#0a0b0c") == (10, 11, 12)
    with pytest.raises(InputError, match="no colour"):
        images.colour("#0a0b0")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif", "bmp", "tiff"])
def test_damage_never_surprises(kind):
    """Whatever is in the bytes, the answer is a picture or a DataError."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(Image.fromarray(RAMP), kind, **({} if kind in ("gif", "bmp") else {"exif": exif}))
    random = np.random.RandomState(1)
    for _ in range(250):
        hurt = bytearray(data)
        for position in random.randint(0, min(len(data), 600), random.randint(1, 6)):
            hurt[position] = random.randint(0, 256)
        try:
            got = images.decode(bytes(hurt), max_pixels=1_000_000)
        except DataError:
            continue
        assert got.ndim == 3 and got.shape[2] == 3 and got.dtype == np.uint8


# --- our own files ----------------------------------------------------------------------------------------------------


def test_png_is_exact_and_others_are_near():
    assert np.array_equal(images.decode(images.encode(RAMP)), RAMP)
    for kind in ("jpeg", "webp"):
        assert np.abs(images.decode(images.encode(RAMP, kind, quality=95)).astype(int) - RAMP).max() < 20
    with pytest.raises(InputError):
        images.encode(RAMP, "eps")


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
@pytest.mark.parametrize(
    "text", ['{"seeds": [[85, 1.0]], "name": "Äpfel & <Birnen> \'Ω\' 🍐"}', "two\nlines", "&amp;&#10;", ""]
)
def test_a_recipe_travels_inside_the_picture(kind, text):
    data = images.encode(RAMP, kind, recipe=text)
    assert images.read_recipe_text(data) == text
    assert images.decode(data).shape == RAMP.shape
    assert images.read_recipe_text(images.encode(RAMP, kind)) is None


def test_no_recipe_is_no_error():
    for data in (
        b"",
        b"text",
        png_claiming(60_000, 60_000),
        saved(Image.fromarray(RAMP), "gif"),
        images.encode(RAMP)[:40],
    ):
        assert images.read_recipe_text(data) is None


# --- sheets and sizes -------------------------------------------------------------------------------------------------


def test_a_contact_sheet_goes_row_by_row():
    pixels = np.stack([np.full((2, 3, 3), i, np.uint8) for i in range(5)])
    sheet = images.contact_sheet(pixels, columns=2, gap=1, background=(9, 8, 7))
    assert sheet.shape == (3 * 3 - 1, 2 * 4 - 1, 3)
    assert sheet[0, 0, 0] == 0 and sheet[0, 4, 0] == 1 and sheet[3, 0, 0] == 2 and sheet[6, 0, 0] == 4
    assert sheet[0, 3].tolist() == sheet[2, 0].tolist() == sheet[7, 6].tolist() == [9, 8, 7]
    assert images.contact_sheet(pixels, columns=99, gap=0).shape == (2, 15, 3)
    with pytest.raises(InputError):
        images.contact_sheet(pixels[:0], columns=2)


def test_resize_takes_width_first():
    assert images.resize(RAMP, 20, 10).shape == (10, 20, 3)
    assert images.resize(RAMP[None].repeat(2, 0), 20, 10).shape == (2, 10, 20, 3)
    assert images.resize(RAMP[None][:0], 20, 10).shape == (0, 10, 20, 3)
    assert images.resize(RAMP, 48, 32) is RAMP
    large = images.resize(RAMP, 96, 64, smooth=False)
    assert np.array_equal(large[::2, ::2], RAMP)
    with pytest.raises(InputError):
        images.resize(RAMP, 0, 5)


def test_an_archive_keeps_every_file_even_of_the_same_name():
    import zipfile

    with zipfile.ZipFile(BytesIO(images.archive([("a.png", b"1"), ("b.png", b"2"), ("a.png", b"3")]))) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "a.png": b"1",
            "b.png": b"2",
            "a-2.png": b"3",
        }


def test_pictures_are_surrounded_by_a_colour_or_their_own():
    pixels = np.random.default_rng(0).integers(0, 255, (2, 4, 6, 3), np.uint8)
    wide = images.surround(pixels, 10, 8, background="#0a0b0c")
    assert wide.shape == (2, 8, 10, 3) and np.array_equal(wide[:, 2:6, 2:8], pixels)
    wide[:, 2:6, 2:8] = (10, 11, 12)
    assert (wide == (10, 11, 12)).all()
    assert images.surround(pixels, 6, 4) is pixels
    flat = np.full((1, 8, 8, 3), (200, 100, 50), np.uint8)
    for size in ((8, 30), (31, 8)):
        assert np.abs(images.surround(flat, *size, background="blur").astype(int) - (200, 100, 50)).max() <= 1
    with pytest.raises(InputError):
        images.surround(pixels, 5, 8)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_picture_says_that_a_trained_model_made_it_when_asked(kind):
    pixels = np.full((8, 8, 3), 90, np.uint8)
    marked = images.encode(pixels, kind, recipe='a "recipe" & more', mark_ai=True)
    assert images.says_ai(marked) and images.read_recipe_text(marked) == 'a "recipe" & more'
    assert b"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia" in marked
    assert not images.says_ai(images.encode(pixels, kind, recipe="trainedAlgorithmic"))
    assert images.read_recipe_text(images.encode(pixels, kind, mark_ai=True)) is None
    assert not images.says_ai(b"no picture")


# --- large JPEGs ------------------------------------------------------------------------------------------------------


def jpeg(width: int, height: int, kind: str = "JPEG", **options: Any) -> bytes:
    """Dark left, light right, with a red top."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:] = np.linspace(0, 255, width).astype(np.uint8)[None, :, None]
    pixels[: height // 2, :, 1:] = 0
    out = BytesIO()
    Image.fromarray(pixels).save(out, kind, quality=95, **options)
    return out.getvalue()


@pytest.mark.parametrize(("max_pixels", "times"), [(20_000, 1), (19_999, 2), (5_000, 2), (4_999, 4), (325, 8)])
@pytest.mark.parametrize("kind", ["JPEG", "MPO"])
def test_a_large_jpeg_is_decoded_reduced_and_looks_the_same(max_pixels, times, kind):
    data = jpeg(200, 100, kind)
    whole = images.decode(data)
    if times > 1:
        with pytest.raises(DataError, match=f"200×100 pixels; {max_pixels:,} are allowed") as caught:
            images.decode(data, max_pixels=max_pixels)
        assert "JPEG" not in caught.value.hint and f"{math.isqrt(max_pixels)}" in caught.value.hint
    pixels = images.decode(data, max_pixels=max_pixels, least_side=4)
    assert pixels.shape[:2] == (-(-100 // times), -(-200 // times)) and pixels.shape[0] * pixels.shape[1] <= max_pixels
    assert headers.reduction(data, max_pixels=max_pixels, least_side=4) == times
    assert np.abs(images.resize(whole, pixels.shape[1], pixels.shape[0]).astype(int) - pixels).mean() < 6


def test_a_large_jpeg_is_upright_and_keeps_the_side_that_is_wanted():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = jpeg(200, 100, exif=exif)
    assert images.decode(data, max_pixels=5_000, least_side=50).shape == (100, 50, 3)
    with pytest.raises(DataError, match="5,000 are allowed"):
        images.decode(data, max_pixels=5_000, least_side=51)
    with pytest.raises(DataError, match="312 are allowed"):  # an eighth is the least
        images.decode(data, max_pixels=312, least_side=1)


def test_a_progressive_jpeg_is_unpacked_whole_and_so_bounded():
    data = jpeg(200, 100, progressive=True)
    assert images.decode(data, max_pixels=10_000, least_side=1).shape == (50, 100, 3)
    with pytest.raises(DataError, match="9,999 are allowed") as caught:
        images.decode(data, max_pixels=9_999, least_side=1)
    assert "not progressive" in caught.value.hint


def colours_apart(width: int, height: int) -> bytes:
    """A sequential JPEG whose three colours come one after the other: each of them is a grey JPEG's scan."""
    greys = []
    for level in (90, 128, 200):
        out = BytesIO()
        Image.new("L", (width, height), level).save(out, "JPEG")
        greys.append(out.getvalue())
    frame, scan = greys[0].index(b"\xff\xc0"), greys[0].index(b"\xff\xda")
    tables = greys[0].index(b"\xff\xc4")
    size = greys[0][frame + 4 : frame + 9]
    colours = b"".join(bytes((i, 0x11, 0)) for i in (1, 2, 3))
    whole = greys[0][:frame] + b"\xff\xc0\x00\x11" + size + b"\x03" + colours + greys[0][tables:scan]
    for i, grey in enumerate(greys, 1):
        whole += b"\xff\xda\x00\x08\x01" + bytes((i, 0, 0, 63, 0)) + grey[grey.index(b"\xff\xda") + 10 : -2]
    return whole + b"\xff\xd9"


def test_a_jpeg_with_its_colours_apart_is_bounded_as_a_progressive_one():
    data = colours_apart(64, 32)
    whole = images.decode(data)
    assert whole.shape == (32, 64, 3) and np.ptp(whole.reshape(-1, 3), axis=0).max() == 0 and len(set(whole[0, 0])) > 1
    assert images.decode(data, max_pixels=1024, least_side=1).shape == (16, 32, 3)
    with pytest.raises(DataError, match="1,023 are allowed"):
        images.decode(data, max_pixels=1023, least_side=1)


def test_what_is_no_jpeg_says_that_a_jpeg_may_be_larger():
    png = images.encode(np.zeros((100, 200, 3), np.uint8))
    with pytest.raises(DataError, match="200×100 pixels; 9,999 are allowed") as caught:
        images.decode(png, max_pixels=9_999, least_side=1)
    assert "save it as JPEG" in caught.value.hint and headers.reduction(png, max_pixels=9_999, least_side=1) == 1


def test_a_jpeg_larger_than_pillow_allows_tells_its_size():
    out = BytesIO()
    Image.new("L", (8, 8)).save(out, "JPEG")
    data = out.getvalue()
    at = data.index(b"\xff\xc0") + 5
    claims = data[:at] + struct.pack(">HH", 60_000, 65_000) + data[at + 4 :]
    assert images.size_of(claims) == (65_000, 60_000)
    with pytest.raises(DataError, match="65000×60000 pixels; 64,000,000 are allowed"):
        images.decode(claims)
