"""Files that others name: regular ones are read, up to a bound, and everything else is refused at once."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ganlib.base.filesystem import (
    NotRegularError,
    TooLargeError,
    check_regular,
    list_names,
    open_regular,
    read_regular,
    read_text_regular,
)

DOORS = [check_regular, open_regular, lambda path: read_regular(path, max_bytes=100)]


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def bound_socket(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
    return folder / "s"


def link_to_device(folder: Path) -> Path:
    (folder / "innocent.zip").symlink_to("/dev/zero")
    return folder / "innocent.zip"


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("make", [pipe, bound_socket, link_to_device, lambda folder: Path("/dev/zero")])
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path, make, door):
    with pytest.raises(NotRegularError, match="not a file"):
        door(make(tmp_path))


@pytest.mark.parametrize("door", DOORS)
def test_a_folder_and_an_absent_file_keep_their_own_errors(tmp_path, door):
    with pytest.raises(IsADirectoryError):
        door(tmp_path)
    with pytest.raises(FileNotFoundError):
        door(tmp_path / "absent")


def test_files_are_read_whole_up_to_the_bound(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abcde")
    assert read_regular(path, max_bytes=5) == b"abcde"
    with open_regular(path) as file:
        assert (file.read(2), file.seek(4), file.read()) == (b"ab", 4, b"e")
    with pytest.raises(TooLargeError, match="5 bytes large; 4 are allowed"):
        read_regular(path, max_bytes=4)


def test_a_sparse_file_of_a_terabyte_is_refused_by_its_size(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(TooLargeError):
        read_regular(path, max_bytes=2**30)


def test_pseudo_files_without_a_size_are_empty():
    path = Path("/proc/self/status")
    if not path.exists():
        pytest.skip("no /proc here")
    assert path.read_bytes()
    assert read_regular(path, max_bytes=10) == b""


def test_line_ends_of_other_systems_are_line_ends(tmp_path):
    (tmp_path / "text").write_bytes(b"a\r\nb\rc\n")
    assert read_text_regular(tmp_path / "text", max_bytes=100) == "a\nb\nc\n"


def test_descriptors_are_closed_when_a_file_is_refused(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(bytes(10))
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    for _ in range(20):
        with pytest.raises(TooLargeError):
            open_regular(path, max_bytes=1)
    assert (len(list(Path("/proc/self/fd").iterdir())) if before else 0) == before


def test_a_folder_is_listed_up_to_a_bound(tmp_path):
    for i in range(5):
        (tmp_path / f"{i}.txt").touch()
    assert list_names(tmp_path, "[12].*") == ["1.txt", "2.txt"]
    assert list_names(tmp_path / "absent") == []
    with pytest.raises(TooLargeError, match="more than 4 files"):
        list_names(tmp_path, "[12].*", max_entries=4)


def test_a_name_that_no_file_can_have_is_no_folder(tmp_path):
    from ganlib.base.filesystem import is_folder

    assert is_folder(tmp_path) and not is_folder(tmp_path / ("x" * 300)) and not is_folder(tmp_path / "none")
