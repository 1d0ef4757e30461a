"""Looking through folders: bounded, stopped on request, past what may not be read, never out of the folder."""

from __future__ import annotations

import os
import time
from pathlib import Path

import hostile
import numpy as np
import pytest

from ganlib.base.errors import DataError
from ganlib.dataset import Dataset
from ganlib.dataset.files import GLANCE, Bounds, Files
from ganlib.dataset.preview import mosaic
from ganlib.media.images import encode
from ganlib.runs import Stopped

PNG = encode(np.zeros((16, 16, 3), np.uint8), "png")


def pictures(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        (folder / f"{i:05d}.png").write_bytes(PNG)
    return folder


def test_a_look_ends_at_its_bounds_and_says_so(tmp_path):
    folder = pictures(tmp_path / "many", 50)
    with Files(folder, bounds=Bounds(20, 60.0), may_be_part=True) as files:
        assert len(files.pictures) == 20
        assert files.unfinished == "more than 20 files; only the first 20 were looked at"
    with Files(folder, bounds=Bounds(1000, 0.0), may_be_part=True) as files:
        assert "only the first" in files.unfinished
    with Files(folder) as files:
        assert len(files.pictures) == 50 and files.unfinished == ""


def test_what_has_to_be_known_whole_is_refused_beyond_its_bounds(tmp_path):
    folder = pictures(tmp_path / "many", 50)
    with pytest.raises(DataError, match="holds too much: more than 20 files"):
        Dataset.open(folder, bounds=Bounds(20, 60.0))


def test_a_walk_stops_on_request(tmp_path):
    folder = pictures(tmp_path / "many", 600)
    with pytest.raises(Stopped), Files(folder, should_stop=lambda: True) as files:
        _ = files.names
    with pytest.raises(Stopped):
        Dataset.open(pictures(tmp_path / "few", 3), should_stop=lambda: True)


def test_no_link_leads_out_of_a_folder(tmp_path):
    folder = pictures(tmp_path / "in", 2)
    (tmp_path / "private.png").write_bytes(PNG)
    (folder / "out.png").symlink_to(tmp_path / "private.png")
    (folder / "own.png").symlink_to(folder / "00000.png")
    (folder / "root").symlink_to("/")
    with Files(folder) as files:
        assert files.names == ["00000.png", "00001.png", "own.png"]
        assert files.skipped == {
            "out.png": "a link out of the folder, not followed",
            "root": "a link to a folder, not followed",
        }
    found = mosaic(folder)
    assert found.found == 3 and "link out of the folder" in found.left_out


def test_what_may_not_be_read_is_passed_over(tmp_path, monkeypatch):
    folder = pictures(tmp_path / "in", 2)
    pictures(folder / "locked", 1)
    scan = os.scandir

    def scandir(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = mosaic(folder)
    assert found.found == 2 and found.left_out == "1 × cannot be read: Permission denied, such as locked"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_the_systems_own_folders_are_not_walked(tmp_path):
    for path in ("/proc", "/proc/self", "/sys", "/dev"):
        with pytest.raises(DataError, match="belongs to the system"):
            Files(Path(path))
    with hostile.within_walls(), Files(Path("/"), bounds=GLANCE, may_be_part=True) as files:
        assert not [name for name in files.names if name.startswith(("proc/", "sys/", "dev/"))]
        assert files.skipped["proc"] == "the system's own, not looked into"


@pytest.mark.parametrize("path", ["/", "/usr", str(Path.home())])
def test_a_glance_at_a_large_folder_takes_seconds(path):
    began = time.monotonic()
    with hostile.within_walls(), Files(Path(path), bounds=GLANCE, may_be_part=True) as files:
        _ = files.names
    assert time.monotonic() - began < GLANCE.seconds + 5
