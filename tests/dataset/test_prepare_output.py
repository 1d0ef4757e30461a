"""Where a set is written: zip or folder, resumed after a kill, never half."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ganlib.base.errors import DataError, InputError
from ganlib.dataset import Dataset, PrepareConfig, prepare
from ganlib.dataset.output import state_path
from ganlib.media.images import encode
from ganlib.runs import SilentReporter, Stopped
from ganlib.runs.files import lock

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 300.0


class Stopper(SilentReporter):
    """Asks to stop when a number of pictures is done, and keeps what is said."""

    def __init__(self, after: int | None = None) -> None:
        self.after, self.done, self.texts = after, 0, list[str]()

    def progress(self, done: float, total: float, message: str = "") -> None:
        self.done = int(done)

    def log(self, text: str) -> None:
        self.texts.append(text)

    def should_stop(self) -> bool:
        return self.after is not None and self.done >= self.after


def pictures(folder: Path, count: int) -> Path:
    folder.mkdir()
    for i in range(count):
        pixels = np.random.default_rng(i).integers(0, 255, (32, 32, 3), np.uint8)
        (folder / f"{i:03d}.png").write_bytes(encode(pixels))
    (folder / "000.png").write_text("not a picture")
    return folder


def contents(path: Path) -> dict[str, bytes]:
    if path.is_file():
        return {path.name: path.read_bytes()}
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.mark.parametrize("dest", ["out.zip", "out"])
def test_resumed_equals_uninterrupted(tmp_path, dest):
    source = pictures(tmp_path / "in", 12)
    whole, parts = tmp_path / "a" / dest, tmp_path / "b" / dest
    prepare(PrepareConfig(str(source), str(whole), 16))
    for after in (1, 3, 7):
        with pytest.raises(Stopped):
            prepare(PrepareConfig(str(source), str(parts), 16), reporter=Stopper(after))
        assert not parts.exists()
    again = Stopper()
    prepare(PrepareConfig(str(source), str(parts), 16), reporter=again)
    assert any("going on after 7" in text for text in again.texts)
    assert contents(parts) == contents(whole)
    assert (tmp_path / "b" / "out.report.jsonl").read_bytes() == (tmp_path / "a" / "out.report.jsonl").read_bytes()
    assert {path.name for path in (tmp_path / "b").iterdir()} == {dest, "out.report.jsonl"}


@pytest.mark.parametrize("damage", ["picture", "cut", "state", "half a line", "settings", "source"])
def test_what_is_left_is_only_trusted_as_far_as_it_is_whole(tmp_path, damage):
    source = pictures(tmp_path / "in", 8)
    dest, resolution = tmp_path / "out.zip", 16
    with pytest.raises(Stopped):
        prepare(PrepareConfig(str(source), str(dest), 16), reporter=Stopper(6))
    partial, state = tmp_path / ".out.zip.partial", state_path(dest)
    if damage == "picture":
        data = bytearray(partial.read_bytes())
        data[1500] ^= 1
        partial.write_bytes(data)
    elif damage == "cut":
        partial.write_bytes(partial.read_bytes()[:2000])
    elif damage == "state":
        state.write_bytes(b"\0" * 400)
    elif damage == "half a line":
        state.write_bytes(state.read_bytes()[:-20])
    elif damage == "settings":
        resolution = 32
    else:
        (source / "003.png").write_bytes((source / "004.png").read_bytes())
    again = Stopper()
    prepare(PrepareConfig(str(source), str(dest), resolution), reporter=again)
    assert any("going on" in text for text in again.texts) is (damage in ("picture", "cut", "half a line"))
    prepare(PrepareConfig(str(source), str(tmp_path / "b" / "out.zip"), resolution))
    assert dest.read_bytes() == (tmp_path / "b" / "out.zip").read_bytes()


def test_a_killed_command_goes_on_to_the_same_bytes(tmp_path):
    dest = "out.zip"
    pictures(tmp_path / "in", 180)
    command = [sys.executable, "-m", "ganlib", "prepare", "--source", "in", "--dest", dest, "--resolution", "16"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    state = state_path(tmp_path / dest)
    with subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True) as process:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and process.poll() is None:
            if state.is_file() and state.read_bytes().count(b"\n") > 40:
                break
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL and state.exists() and not (tmp_path / dest).exists()
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert result.returncode == 0 and "going on after" in result.stderr, result.stderr
    config = PrepareConfig(str(tmp_path / "in"), str(tmp_path / "whole" / dest), 16, workers=1)
    prepare(config)
    assert contents(tmp_path / dest) == contents(tmp_path / "whole" / dest)


def test_a_folder_and_a_zip_hold_the_same_set(tmp_path):
    source = pictures(tmp_path / "in", 5)
    for dest in ("out.zip", "out"):
        prepare(PrepareConfig(str(source), str(tmp_path / dest), 16, labels="none"))
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == contents(tmp_path / "out")
    assert sorted(contents(tmp_path / "out")) == [
        *(f"00000/img{i:08d}.png" for i in range(4)), "card.json", "dataset.json"
    ]  # fmt: skip
    assert json.loads((tmp_path / "out" / "dataset.json").read_text()) == {"labels": None}
    assert Dataset.open(tmp_path / "out").digest == Dataset.open(tmp_path / "out.zip").digest


def test_a_folder_set_is_replaced_whole_and_other_folders_are_left_alone(tmp_path):
    source, dest = pictures(tmp_path / "in", 6), tmp_path / "out"
    prepare(PrepareConfig(str(source), str(dest), 16))
    prepare(PrepareConfig(str(source), str(dest), 16, max_pictures=3))
    assert len(Dataset.open(dest)) == 2 and len(contents(dest)) == 4
    (dest / "diary.txt").write_text("mine")
    with pytest.raises(InputError, match=r"diary\.txt") as caught:
        prepare(PrepareConfig(str(source), str(dest), 16))
    assert "new folder" in caught.value.hint and (dest / "diary.txt").read_text() == "mine"
    for wrong in (source, source / "below", tmp_path):
        with pytest.raises(InputError):
            prepare(PrepareConfig(str(source), str(wrong), 16))


def test_two_cannot_write_the_same_set(tmp_path):
    source, dest = pictures(tmp_path / "in", 3), tmp_path / "out.zip"
    with lock(state_path(dest)), pytest.raises(InputError, match="another process"):
        prepare(PrepareConfig(str(source), str(dest), 16))


def test_nothing_stays_when_no_picture_is_left(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.png").write_text("text")
    for dest in ("out.zip", "out"):
        with pytest.raises(DataError):
            prepare(PrepareConfig(str(source), str(tmp_path / dest), 16))
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
