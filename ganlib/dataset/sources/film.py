"""Frames of a film as a folder of pictures, named after their time."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import imageio_ffmpeg

from ganlib.base.errors import DataError, GanlibError
from ganlib.base.filesystem import MOST_LINES_BYTES, check_regular, read_regular
from ganlib.media.ffmpeg import input_of
from ganlib.runs import Reporter, Stopped, write_bytes

SUFFIXES = frozenset((".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".wmv", ".ogv"))
DONE = "frames.txt"  # in the folder when all frames are there: what they are of
_POLL_SECONDS = 0.2


def take_apart(film: Path, folder: Path, fps: float, reporter: Reporter) -> Path:
    """Return `folder` with `fps` frames per second of `film`, called `000012.500s.png` and so on, in order of time.

    What is there already, of the same film and rate, is used. Raises DataError for what is no film, GanlibError without
    ffmpeg, and Stopped.
    """
    status = check_regular(film)
    stamp = f"{film.name} {status.st_size} {status.st_mtime_ns} {fps}\n".encode()
    done = folder / DONE
    if done.is_file() and read_regular(done, max_bytes=MOST_LINES_BYTES) == stamp:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    reporter.log(f"taking {fps:g} frames per second from {film.name}")
    try:
        program = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        hint = "Install it: pip install imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE to a program."
        raise GanlibError("there is no ffmpeg", hint) from error
    options = ["-map", "0:v:0", "-vf", f"fps={fps}", "-start_number", "0", "-compression_level", "1"]
    command = [program, "-nostdin", "-v", "error", *input_of(film.resolve()), *options, str(folder / "%08d.png")]
    with (folder / "said").open("w+b") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)
        try:
            while _is_running(process):
                if reporter.should_stop():
                    raise Stopped
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        words = said.read().decode("utf-8", "replace").strip().splitlines()
    (folder / "said").unlink()
    frames = sorted(folder.glob("*.png"))
    if not frames:
        reason = words[-1] if words else "it has no pictures"
        shutil.rmtree(folder, ignore_errors=True)
        raise DataError(f"{film.name} is no film that can be read: {reason}", "Try it in a player, or convert it.")
    if process.returncode:  # what came before the damage is used, and said so
        reporter.log(f"{film.name} is damaged after {len(frames) / fps:.1f} s: {words[-1] if words else 'it ends'}")
    for i, frame in enumerate(frames):
        frame.rename(folder / f"{i / fps:010.3f}s.png")
    write_bytes(done, stamp)
    return folder


def _is_running(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(timeout=_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False
