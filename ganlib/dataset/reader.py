"""`Dataset`: square pictures of one power-of-two size with optional class labels, from a zip or a folder.

00000/img00000000.png …   pictures, in the order of their sorted names
dataset.json              {"labels": null} or {"labels": [["00000/img00000000.png", 3], …]}, or what other tools write
                          (see `labels`); where pictures were squashed, also
                          {"aspects": [["00000/img00000000.png", 1.5], …]}, width over height
card.json                 where the pictures come from; absent in sets made by other tools
"""

from __future__ import annotations

import hashlib
import json
import shlex
import struct
import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ganlib.base.errors import DataError, InputError
from ganlib.dataset.files import ALL, LOOK_UP_EVERY, Bounds, Files
from ganlib.dataset.labels import CARD_NAME, LABELS_NAME, doubts_about, read_labels
from ganlib.dataset.text import find_own, read_object
from ganlib.media.images import LOOK_PIXELS, decode, resize, size_of
from ganlib.runs import Stopped

MAX_RESOLUTION = 4096
_PREPARE = "Make a square set with `python -m ganlib prepare --source … --dest F.zip`."


class Dataset:
    """A prepared set of pictures; indexing gives `(pixels, label)`. Made by `Dataset.open`."""

    def __init__(
        self,
        files: Files,
        *,
        mirror: bool = False,
        subset: int | None = None,
        seed: int = 0,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Read the list, the labels and the sizes, no pixels. As `open`, with which files are closed on an error."""
        self.path = files.path
        self.mirror = mirror
        self.names: list[str] = files.pictures
        self._files = files
        self._guard = threading.Lock()
        self._pixels: np.ndarray | None = None
        if not self.names:
            raise DataError(f"{self.path} has no pictures", _PREPARE)
        if subset is not None and subset < 1:
            raise InputError(f"subset = {subset} is not possible", f"use a number from 1 to {len(self.names)}")
        self._class_names: tuple[str, ...] = ()
        self.labels: np.ndarray | None = self._read_labels()
        self.aspects: np.ndarray | None = self._read_aspects()
        """Width over height of what was squashed into each square, float64 `[N]`; None if nothing was."""
        self.card: dict[str, Any] = read_object(files, CARD_NAME)
        self.label_dim: int = len(self._class_names)
        if subset is not None:
            self._take(np.sort(np.random.default_rng(seed).permutation(len(self.names))[:subset]))
        self.resolution, self.num_channels = self._sizes(should_stop)
        if mirror:
            self._take(np.tile(np.arange(len(self.names)), 2))

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        mirror: bool = False,
        subset: int | None = None,
        seed: int = 0,
        bounds: Bounds = ALL,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Dataset:
        """Return the set in a zip or folder, ours or in NVIDIA's layout. Reads headers only.

        `subset` takes so many pictures, drawn by `seed` and in the order of the set; classes without a picture in it
        still count. With `mirror`, all pictures come again after the last one, the left side on the right.

        Raises InputError for a subset of none, and DataError for a missing, empty or foreign file, for no pictures, and
        for pictures that are not square, differ in size, or have a side that is no power of two. Damage inside a
        picture shows when it is decoded. A folder with more than `bounds` is no set either. Raises Stopped when
        `should_stop()`.
        """
        files = Files(Path(path), bounds=bounds, should_stop=should_stop)
        try:
            return cls(files, mirror=mirror, subset=subset, seed=seed, should_stop=should_stop)
        except BaseException:
            files.close()
            raise

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, idx: int) -> tuple[np.ndarray, int | None]:
        """Return uint8 RGB `[resolution, resolution, 3]` and the class or None. Raises DataError with its name."""
        name = self.names[idx]
        pixels = decode(self._files.read(name), name=f"{name} in {self.path.name}")
        if pixels.shape != (self.resolution, self.resolution, 3):
            raise self._wrong_size(name, pixels.shape[1], pixels.shape[0])
        if self._is_mirrored(idx):
            pixels = np.ascontiguousarray(pixels[:, ::-1])
        return pixels, None if self.labels is None else int(self.labels[idx])

    def small(self, idx: int, side: int) -> np.ndarray:
        """Return uint8 RGB `[side, side, 3]` of a picture, or its own size where that is less, without holding a large
        one whole for longer than it is decoded. Raises DataError with its name."""
        name, side = self.names[idx], min(side, self.resolution)
        if side * side > LOOK_PIXELS:
            return resize(self[idx][0], side, side)
        pixels, times, _, _ = self._files.look(name, title=f"{name} in {self.path.name}", least_side=1)
        if pixels.shape[:2] != (-(-self.resolution // times),) * 2:
            raise self._wrong_size(name, pixels.shape[1] * times, pixels.shape[0] * times)
        small = resize(pixels, side, side)
        return np.ascontiguousarray(small[:, ::-1]) if self._is_mirrored(idx) else small

    def _is_mirrored(self, idx: int) -> bool:
        return self.mirror and idx % len(self) >= len(self) // 2

    def pixels(self) -> np.ndarray:
        """Return all pictures, read-only uint8 `[N, resolution, resolution, 3]`, decoded at the first call."""
        with self._guard:
            if self._pixels is None:
                pixels = np.empty((len(self), self.resolution, self.resolution, 3), np.uint8)
                for i in range(len(self)):
                    pixels[i] = self[i][0]
                pixels.flags.writeable = False
                self._pixels = pixels
            return self._pixels

    @cached_property
    def digest(self) -> str:
        """Return the SHA-256, in hex, of the pictures' names and bytes and their labels; a folder and its zip agree."""
        sha = hashlib.sha256(b"mirrored" if self.mirror else b"")
        for i, name in enumerate(self.names[: len(self) // 2] if self.mirror else self.names):
            data = self._files.read(name)
            label = "" if self.labels is None else str(int(self.labels[i]))
            sha.update(json.dumps([name, len(data), label]).encode())
            sha.update(data)
        return sha.hexdigest()

    @cached_property
    def fingerprints(self) -> list[bytes]:
        """Return the SHA-256 of each picture's bytes; a reflection has another one. They do not tell of the order."""
        found = [hashlib.sha256(self._files.read(name)).digest() for name in self.names]
        half = len(self) // 2 if self.mirror else len(self)
        return found[:half] + [hashlib.sha256(b"mirrored" + one).digest() for one in found[half:]]

    @property
    def class_names(self) -> list[str]:
        """Return the names of the classes, or their numbers where nothing names them."""
        return list(self._class_names)

    @property
    def class_counts(self) -> dict[str, int]:
        """Return how many pictures each class has, by its name; empty without labels."""
        if self.labels is None:
            return {}
        counts = np.bincount(self.labels, minlength=self.label_dim)
        return {name: int(count) for name, count in zip(self._class_names, counts, strict=True)}

    def doubts(self, without: str = "") -> list[str]:
        """Return what is to be known before training on the classes: that some have no picture, or few beside others.

        `without` is a sentence: how to go on without classes that have none; empty gives the command."""
        return doubts_about(self.class_counts, without or f"This leaves them out: `{self._remade('used')}`")

    def _take(self, idx: np.ndarray) -> None:
        """Let the pictures be those of `idx` `[N]`, in its order."""
        self.names = [self.names[i] for i in idx.tolist()]
        self.labels = None if self.labels is None else self.labels[idx]
        self.aspects = None if self.aspects is None else self.aspects[idx]

    def _sizes(self, should_stop: Callable[[], bool]) -> tuple[int, int]:
        """The common side and the number of channels: 1 where every picture is a grey PNG, else 3."""
        side = 0
        all_grey = True
        for number, name in enumerate(self.names, 1):
            if number % LOOK_UP_EVERY == 1 and should_stop():
                raise Stopped
            width, height, is_grey = self._header(name)
            side = side or width
            if (width, height) != (side, side):
                raise self._wrong_size(name, width, height, side if width == height else None)
            all_grey &= is_grey
        if side < 4 or side > MAX_RESOLUTION or side & (side - 1):
            raise DataError(f"the pictures in {self.path} are {side} px wide, no power of two from 4 to 4096", _PREPARE)
        return side, 1 if all_grey else 3

    def _header(self, name: str) -> tuple[int, int, bool]:
        head = self._files.read(name, 33)
        if len(head) >= 26 and head[:8] == b"\x89PNG\r\n\x1a\n" and head[12:16] == b"IHDR":
            width, height, _, colour = struct.unpack(">IIBB", head[16:26])
            return width, height, colour == 0
        return *size_of(self._files.read(name), name=f"{name} in {self.path.name}"), False

    def _wrong_size(self, name: str, width: int, height: int, side: int | None = None) -> DataError:
        problem = "is not square" if width != height else f"differs from the first one, {side or self.resolution} px"
        return DataError(f"{name} in {self.path} is {width}×{height}: it {problem}", _PREPARE)

    def _read_aspects(self) -> np.ndarray | None:
        pairs = read_object(self._files, LABELS_NAME).get("aspects")
        if not isinstance(pairs, list):
            return None
        folder = (find_own(self._files, LABELS_NAME) or "").removesuffix(LABELS_NAME)
        by_name = {f"{folder}{pair[0]}": pair[1] for pair in pairs if isinstance(pair, list) and len(pair) == 2}
        aspects = [by_name.get(name) for name in self.names]
        if not all(isinstance(aspect, int | float) and aspect > 0 for aspect in aspects):
            return None
        return np.array(aspects, np.float64)

    def _read_labels(self) -> np.ndarray | None:
        found = read_labels(self._files, without=f"Without them: `{self._remade('none')}`.")
        if not found.names:
            return None
        bare = [name for name in self.names if name not in found.numbers]
        if bare:
            what = f"{bare[0]} in {self.path} has no label"
            what = what if len(bare) == 1 else f"{what}, and {len(bare) - 1:,} more have none"
            raise DataError(what, f"This leaves out pictures without a label: `{self._remade('keep')}`.")
        self._class_names = found.names
        return np.array([found.numbers[name] for name in self.names], np.int64)

    def _remade(self, labels: str) -> str:
        """The command that makes a set like this one, with other labels."""
        words = ["python", "-m", "ganlib", "prepare", "--source", str(self.path), "--dest", "NEW.zip"]
        side = self._header(self.names[0])[0]
        return shlex.join([*words, "--resolution", str(side), "--crop", "center", "--labels", labels])
