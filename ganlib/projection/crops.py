"""The square of a photograph that suits a model: round the thing on plain ground, or a face, upright."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np

from ganlib.base.errors import DataError, InputError
from ganlib.dataset.crops import frame_picture

Box = tuple[float, float, float, float]
"""x and y of a square's upper left corner and its side in pixels, and degrees by which it is turned clockwise."""
_BY_HAND = "Choose the square by hand, or the middle of the picture."
_LEAST_FACE = 0.12  # of the picture's shorter side
_FACE_SIDE = 240  # pixels that a face is brought to before its eyes are looked for
_EYES_TO_MOUTH = 1.1  # between the middle of the eyes and the mouth, in distances between the eyes


def can_find_faces() -> bool:
    """Whether a face detector is installed: OpenCV 4 with its cascades."""
    return _opencv() is not None


def middle_of(width: int, height: int) -> Box:
    """Return the largest square in the middle of a picture of this size."""
    side = float(min(width, height))
    return (width - side) / 2, (height - side) / 2, side, 0.0


def find_middle(pixels: np.ndarray) -> Box:
    """Return the largest square in the middle of uint8 `[H, W, 3]`."""
    return middle_of(pixels.shape[1], pixels.shape[0])


def find_subject(pixels: np.ndarray) -> Box:
    """Return the square round the thing on plain ground in uint8 `[H, W, 3]`, as data sets are cut.

    Raises `DataError` where there is none."""
    framing = frame_picture(pixels, "subject")
    if framing.objection:
        raise DataError(f"no subject was found: {framing.objection}", _BY_HAND)
    left, top, right, bottom = framing.box
    return float(left), float(top), float(max(right - left, bottom - top)), 0.0


def find_face(pixels: np.ndarray) -> Box:
    """Return the square of the largest face in uint8 `[H, W, 3]`, turned so that the eyes are level.

    With eyes e0, e1 and mouth m: x' = e1 − e0, y' = (e0 + e1)/2 − m, the centre c = (e0 + e1)/2 − 0.1·y' and the side
    max(4·|x'|, 3.6·|y'|) ("Progressive Growing of GANs", Karras et al. 2018, appendix C), as the usual models of faces
    were trained. The detector gives no mouth: |y'| is taken as 1.1·|x'|. Raises `DataError` where there is no face with
    two eyes, `InputError` where no detector is installed."""
    cv2 = _opencv()
    if cv2 is None:
        raise InputError(
            "no face detector is installed", 'Install one: pip install "opencv-python-headless<5". Or cut by hand.'
        )
    height, width = pixels.shape[:2]
    scale = min(1.0, 800 / max(height, width))
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    grey = cv2.equalizeHist(grey)
    least = max(24, round(_LEAST_FACE * min(grey.shape)))
    faces = _cascade(cv2, "haarcascade_frontalface_default.xml").detectMultiScale(
        grey, scaleFactor=1.1, minNeighbors=5, minSize=(least, least)
    )
    for x, y, w, h in sorted(faces, key=lambda face: -face[2] * face[3]):
        upper = grey[y + h // 5 : y + h * 3 // 5, x : x + w]
        larger = _FACE_SIDE / w  # the cascade was trained on eyes of twenty pixels
        upper = cv2.resize(upper, None, fx=larger, fy=larger, interpolation=cv2.INTER_CUBIC)
        least, most = round(_FACE_SIDE * 0.12), round(_FACE_SIDE * 0.34)
        found = _cascade(cv2, "haarcascade_eye.xml").detectMultiScale(
            upper, scaleFactor=1.05, minNeighbors=4, minSize=(least, least), maxSize=(most, most)
        )
        eyes = [(x + (ex + ew / 2) / larger, y + h // 5 + (ey + eh / 2) / larger) for ex, ey, ew, eh in found]
        left = [eye for eye in eyes if eye[0] < x + w / 2]
        right = [eye for eye in eyes if eye[0] >= x + w / 2]
        pairs = [(a, b) for a in left for b in right if _are_eyes(a, b, w)]
        if pairs:
            e0, e1 = min(pairs, key=lambda pair: abs(math.dist(*pair) - 0.4 * w))
            return _upright(np.array(e0) / scale, np.array(e1) / scale)
    raise DataError("no face with two eyes was found", _BY_HAND)


def _are_eyes(a: tuple[float, float], b: tuple[float, float], face: float) -> bool:
    """Whether two places are as far apart, and as level, as the eyes of a face of this width."""
    across, down = b[0] - a[0], abs(b[1] - a[1])
    return 0.25 * face < across < 0.65 * face and down < 0.5 * across


def _upright(e0: np.ndarray, e1: np.ndarray) -> Box:
    across = e1 - e0
    down = np.array([-across[1], across[0]]) * _EYES_TO_MOUTH  # from the eyes to the mouth
    centre = (e0 + e1) / 2 + 0.1 * down
    side = max(4 * math.hypot(*across), 3.6 * math.hypot(*down))
    corner = centre - side / 2
    return float(corner[0]), float(corner[1]), side, math.degrees(math.atan2(across[1], across[0]))


def _opencv() -> Any:
    """OpenCV where it has cascades, else None: the fifth major version came without them."""
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError:
        return None
    data = getattr(getattr(cv2, "data", None), "haarcascades", "")
    return cv2 if data and (Path(data) / "haarcascade_eye.xml").exists() else None


def _cascade(cv2: Any, name: str) -> Any:
    return cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / name))
