"""One ffmpeg process: frames go in from a thread of their own, its last words come out as an error."""

from __future__ import annotations

import queue
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import imageio_ffmpeg
import numpy as np

from ganlib.base.errors import DataError, GanlibError
from ganlib.base.filesystem import check_regular

_LOOK_SECONDS = 60.0
_BATCHES_AHEAD = 2  # rendered and not yet handed to ffmpeg
_HINT = "Check that there is room on the disk, or try a smaller size."

# By ffmpeg's own names. Playlists, lists of pieces, manifests, patterns of numbers and descriptions of streams are none
# of them: they name other files or addresses, which ffmpeg would open.
_CONTAINERS = (
    "aac", "ac3", "aiff", "amr", "ape", "apng", "asf", "au", "av1", "avi", "caf", "dsf", "dts", "dv", "eac3", "flac",
    "flv", "gif", "h264", "hevc", "ivf", "m4v", "matroska", "mjpeg", "mov", "mp3", "mpc", "mpc8", "mpeg", "mpegts",
    "mpegvideo", "mxf", "nut", "obu", "ogg", "rm", "tak", "truehd", "tta", "voc", "w64", "wav", "webm", "webp_anim",
    "wv", "yuv4mpegpipe",
)  # fmt: skip

# Players take untagged small films as BT.601 and large ones as BT.709, so the colours are converted and tagged.
TO_YUV = (
    "scale=out_color_matrix=bt709:out_range=tv:flags=lanczos+accurate_rnd+full_chroma_int,format=yuv420p,"
    "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
)

Put = Callable[[np.ndarray], None]


def as_file(path: Path) -> str:
    """How ffmpeg is told of a file: `foo:bar.mp4` alone would be a protocol, and `-a.mp4` an option."""
    return f"file:{path}"


def raw_input(size: tuple[int, int], fps: float) -> list[str]:
    """The options for frames, uint8 RGB of (width, height), on the standard input."""
    sides = f"{size[0]}x{size[1]}"
    return ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", sides, "-framerate", f"{fps:.6g}", "-i", "pipe:0"]


@contextmanager
def encoder(arguments: Sequence[str], prepare: Callable[[np.ndarray], np.ndarray] | None = None) -> Iterator[Put]:
    """Start ffmpeg and yield a function that hands it frames, uint8 `[n, H, W, 3]`, and returns before it has them.

    `prepare` is called on every batch in the thread that feeds ffmpeg, while the caller renders the next. Leaving the
    block waits for ffmpeg and raises GanlibError if it failed; leaving by an exception ends it.
    """
    with _process(arguments, stdin=subprocess.PIPE) as process:
        feeder = _Feeder(process.stdin, prepare)
        try:
            # It hung up: its words and its exit status say why, at the end of this block.
            with suppress(_HungUpError):
                yield feeder.put
        except BaseException:
            process.kill()
            raise
        finally:
            feeder.end()
        if feeder.error is not None:
            process.kill()
            raise feeder.error
        process.hung_up = feeder.hung_up


def input_of(path: Path) -> list[str]:
    """Return the options by which ffmpeg reads a file that somebody names. Raises DataError for what is no file.

    The file alone is opened: what would name others, on the disk or in the network, fails as ffmpeg fails."""
    hint = "Choose another file."
    try:
        size = check_regular(path).st_size
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}", hint) from error
    if size == 0:  # a pseudo file of the kernel says so too, and blocks whoever reads it
        raise DataError(f"{path.name} is empty (0 bytes)", hint)
    return ["-protocol_whitelist", "file", "-format_whitelist", ",".join(_CONTAINERS), "-i", as_file(path)]


def run_ffmpeg(arguments: Sequence[str]) -> None:
    """Run ffmpeg to its end. Raises GanlibError with its last words if it fails."""
    with _process(arguments, stdin=subprocess.DEVNULL):
        pass


@contextmanager
def open_reader(arguments: Sequence[str]) -> Iterator[IO[bytes]]:
    """Start ffmpeg, whose standard output is read; raises GanlibError if it fails. Leaving early ends it."""
    with _process(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.stdout
        process.stdout.read()


def look(arguments: Sequence[str], *, most_bytes: int) -> tuple[bytes, str]:
    """Run ffmpeg for a moment; return the beginning of its standard output and its words, whether or not it failed."""
    with tempfile.TemporaryFile() as words:
        command = [_program(), "-hide_banner", "-nostdin", *arguments]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words)
        with process:
            assert process.stdout is not None
            timer = threading.Timer(_LOOK_SECONDS, process.kill)  # a film may be made to take for ever
            timer.start()
            try:
                out = process.stdout.read(most_bytes)
                while process.stdout.read(2**16):
                    pass
            finally:
                timer.cancel()
                process.kill()
        words.seek(0)
        return out, words.read(2**20).decode("utf-8", errors="replace")


class _HungUpError(Exception):
    """ffmpeg closed its end of the pipe."""


class _Process(subprocess.Popen[bytes]):
    hung_up = False


@contextmanager
def _process(arguments: Sequence[str], **streams: int) -> Iterator[_Process]:
    program = _program()
    options: dict[str, Any] = {"stdout": subprocess.DEVNULL} | streams
    with tempfile.TemporaryFile() as words:  # a pipe that nobody reads could block it
        process = _Process(
            [program, "-hide_banner", "-loglevel", "error", "-nostdin", *arguments],
            stderr=words,
            start_new_session=True,  # an interrupt from the terminal is ours to answer
            **options,
        )
        try:
            yield process
            if process.stdin is not None:
                with suppress(BrokenPipeError):
                    process.stdin.close()
            process.wait()
        finally:
            process.kill()  # does nothing once it has ended
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()
            process.wait()
        if process.returncode != 0 or process.hung_up:
            words.seek(0)
            lines = words.read().decode("utf-8", errors="replace").strip().splitlines()[-5:]
            said = " | ".join(lines) or "it said nothing"
            raise GanlibError(f"ffmpeg ended with status {process.returncode}: {said}", _HINT)


def _program() -> str:
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        hint = "Install it: pip install imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE to a program."
        raise GanlibError("there is no ffmpeg", hint) from error


class _Feeder:
    """The thread between the renderer and ffmpeg, with a short queue, so that neither waits for long."""

    def __init__(self, pipe: IO[bytes] | None, prepare: Callable[[np.ndarray], np.ndarray] | None) -> None:
        assert pipe is not None
        self._pipe, self._prepare = pipe, prepare
        self._queue: queue.Queue[np.ndarray | None] = queue.Queue(_BATCHES_AHEAD)
        self.error: BaseException | None = None
        self.hung_up = False
        self._thread = threading.Thread(target=self._run, name="feed-ffmpeg", daemon=True)
        self._thread.start()

    def put(self, pixels: np.ndarray) -> None:
        if self.error is not None:
            raise self.error
        if self.hung_up:
            raise _HungUpError
        self._queue.put(pixels)

    def end(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        # After a failure it goes on taking what comes, so that nobody waits for room in the queue.
        while (pixels := self._queue.get()) is not None:
            if self.error is not None or self.hung_up:
                continue
            try:
                frames = pixels if self._prepare is None else self._prepare(pixels)
            except BaseException as error:  # raised again by whoever puts the next batch
                self.error = error
                continue
            # Only ffmpeg's own pipe: another one that breaks, such as a closed terminal's, is an error as any.
            try:
                self._pipe.write(np.ascontiguousarray(frames).data)
                self._pipe.flush()
            except BrokenPipeError:
                self.hung_up = True
            except OSError as error:
                self.error = error
