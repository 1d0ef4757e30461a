"""The square that is found on a photograph: the subject, a face, the middle."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganlib.base.errors import DataError, InputError
from ganlib.media import images
from ganlib.projection import can_find_faces, crop_square, crops, find_face, find_subject

FACE = Path(__file__).parents[1] / "data" / "astronaut.jpg"
EYES = np.array([[126.5, 63.0], [154.0, 64.5]])  # of the whole picture, by hand


def turned(degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """The photograph turned about its middle, counter-clockwise, and where its eyes then are."""
    with Image.open(FACE) as file:
        picture = file.convert("RGB").rotate(degrees, Image.Resampling.BICUBIC)
    a = math.radians(degrees)
    turn = np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]])
    return np.asarray(picture), (EYES - 160) @ turn.T + 160


@pytest.mark.parametrize("degrees", [0, 12, -15])
def test_a_face_is_cut_upright_with_the_eyes_where_models_expect_them(degrees):
    assert can_find_faces(), "tests/requirements.txt brings the detector"
    pixels, eyes = turned(degrees)
    x, y, side, angle = find_face(pixels)
    assert angle == pytest.approx(math.degrees(math.atan2(*(eyes[1] - eyes[0])[::-1])), abs=6)
    a, centre = math.radians(angle), np.array([x + side / 2, y + side / 2])
    back = np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]])
    shares = (eyes - centre) @ back.T / side + 0.5
    assert np.allclose(shares, [[0.375, 0.47], [0.625, 0.47]], atol=0.07)
    assert crop_square(pixels, 64, crop="face").shape == (64, 64, 3)


def test_where_there_is_no_face_it_is_said(monkeypatch):
    with pytest.raises(DataError, match="no face"):
        find_face(np.full((200, 300, 3), 128, np.uint8))
    monkeypatch.setattr(crops, "_opencv", lambda: None)
    assert not can_find_faces()
    with pytest.raises(InputError, match="no face detector") as caught:
        crop_square(np.full((200, 300, 3), 128, np.uint8), 64, crop="face")
    assert "opencv-python-headless" in caught.value.hint


def test_the_subject_on_plain_ground_is_found():
    page = np.full((300, 400, 3), 240, np.uint8)
    rows, columns = np.mgrid[:300, :400]
    page[(rows - 100) ** 2 + (columns - 260) ** 2 < 60**2] = (160, 40, 30)
    x, y, side, angle = find_subject(page)
    assert (x + side / 2, y + side / 2) == pytest.approx((260, 100), abs=8)
    assert 120 <= side <= 180 and angle == 0
    with pytest.raises(DataError, match="no subject"):
        find_subject(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8))


def test_the_difference_is_white_where_nothing_differs_and_black_where_all_does():
    a = np.zeros((4, 6, 3), np.uint8)
    b = a.copy()
    b[:, 2:4], b[:, 4:] = 32, 200
    shown = images.difference(a, b)
    assert shown.shape == a.shape and (shown[:, :2] == 255).all()
    assert shown[0, 2].tolist() == [214, 120, 24] and shown[0, 5].tolist() == [20, 16, 14]
    assert np.array_equal(images.difference(b, a), shown)
