"""What a subject crop takes and leaves, on drawn plates whose parts are known."""

from __future__ import annotations

import numpy as np
import pytest

from ganlib.dataset.crops import cut, frame_picture

PAPER = (246, 238, 214)


def on_paper(*discs: tuple[int, int, int, tuple[int, int, int]], height: int = 192, width: int = 128) -> np.ndarray:
    """Paper with discs of (y, x, radius, colour)."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:] = PAPER
    y, x = np.mgrid[:height, :width]
    for centre_y, centre_x, radius, colour in discs:
        pixels[(y - centre_y) ** 2 + (x - centre_x) ** 2 < radius**2] = colour
    return pixels


@pytest.mark.parametrize("shine", [(58, 62, 92), (90, 40, 40), (48, 66, 40)], ids=["plum", "cherry", "avocado"])
def test_dark_fruit_is_not_grey(shine):
    pixels = on_paper((70, 64, 28, (32, 28, 34)), (66, 60, 17, shine))
    assert frame_picture(pixels, "subject").objection == ""


@pytest.mark.parametrize("strokes", [(150, 146, 136), (60, 56, 50), (120, 108, 82)], ids=["pencil", "ink", "sepia"])
def test_drawings_are_set_aside(strokes):
    pixels = on_paper((70, 64, 28, strokes), (66, 60, 15, tuple(min(v + 30, 255) for v in strokes)))
    assert frame_picture(pixels, "subject").objection.startswith("grey")


def test_neighbours_stay_out_of_the_crop():
    pixels = on_paper((60, 64, 26, (190, 40, 30)), (122, 64, 28, (60, 130, 40)), (60, 112, 10, (40, 60, 150)))
    square = cut(pixels, frame_picture(pixels, "subject", margin=1.6), 64).astype(int)
    assert (square[..., 0] - square[..., 1] > 80).mean() > 0.2
    assert not (square[..., 1] - square[..., 0] > 30).any() and not (square[..., 2] - square[..., 0] > 30).any()


def test_the_upper_of_two_that_touch_is_taken_and_a_tall_fruit_is_whole():
    stack = frame_picture(on_paper((60, 64, 24, (190, 40, 30)), (106, 64, 24, (230, 200, 90))), "subject", margin=1)
    assert abs(stack.box[1] - 36) <= 6 and abs(stack.box[3] - 84) <= 6
    pear = [(44 + i, 64, int(11 + 15 * i / 55), (200, 180, 40)) for i in range(56)]
    whole = frame_picture(on_paper(*pear), "subject", margin=1)
    assert whole.objection == "" and whole.box[1] <= 34 and whole.box[3] >= 124
