"""A film of a way through latent space: `RenderJob` → mp4 or gif, streamed frame by frame into ffmpeg."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
from PIL import Image

from ganlib import images
from ganlib.checkpoints import find_checkpoint
from ganlib.errors import GanlibError, InputError
from ganlib.paths import LatentPath, PathWalker
from ganlib.renderer import Renderer
from ganlib.runs import Reporter, Stopped, replacing

FORMATS = ("mp4", "gif")
ASPECTS = {"1:1": (1, 1), "9:16": (9, 16), "16:9": (16, 9), "4:5": (4, 5)}
MAX_SIDE = 16384  # of a film, in pixels; more than H.264 has a level for
MAX_FRAMES = 100_000
_MAX_COMMENT = 100_000  # characters; the operating system limits one argument to 131,071 bytes
_PALETTE_FRAMES = 32  # a GIF's one palette is chosen from this many frames, evenly spaced
_FINE_CRF = 20
_RANGE = "Choose from {} to {}."
_BACKGROUND = re.compile(r"#[0-9a-fA-F]{6}|blur")


@dataclass(frozen=True)
class RenderJob:
    """Everything that decides a film."""

    network: str
    """Checkpoint: a path, or a name below checkpoints/."""
    path: LatentPath
    """Keyframes and how they are joined."""
    fps: float = 30
    """Frames per second, 1 to 120; at most 50 for a gif."""
    size: int | None = None
    """Side in pixels, 16 to 8192; None means the model's resolution. Odd sides of an mp4 grow by one."""
    format: str = "mp4"
    """`mp4` (H.264, 8 bit 4:2:0) or `gif`."""
    crf: int = 8
    """Quality of an mp4, 1 (largest) to 51 (smallest). 18 looks like the original."""
    device: str = "auto"
    """Where to render."""
    aspect: str = "1:1"
    """Width to height of the film: `1:1`, `9:16`, `16:9` or `4:5`. The square picture stands in the middle."""
    background: str = "#000000"
    """What surrounds the picture: a colour, `#rrggbb`, or `blur`, the picture itself enlarged and blurred."""

    def validate(self) -> None:
        """Raise InputError for a field outside its legal values."""
        self.path.validate()
        for name, low, high in (("fps", 1, 120), ("size", 16, 8192), ("crf", 1, 51)):
            value = getattr(self, name)
            if value is None and name == "size":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise InputError(f"{name} {_short(value)} is not between {low} and {high}", _RANGE.format(low, high))
            if name != "fps" and not isinstance(value, int):
                raise InputError(f"{name} {_short(value)} is not a whole number", _RANGE.format(low, high))
        if self.format not in FORMATS:
            raise InputError(f"there is no film format '{str(self.format)[:20]}'", f"Use {' or '.join(FORMATS)}.")
        if self.format == "gif" and self.fps > 50:
            raise InputError(f"a gif cannot show {self.fps:g} frames per second", "Choose 50 or fewer, or mp4.")
        for name in ("network", "device"):
            if not isinstance(getattr(self, name), str):
                raise InputError(f"{name} is not text", "Give its name.")
        if not isinstance(self.aspect, str) or self.aspect not in ASPECTS:
            raise InputError(f"there is no aspect '{_short(self.aspect)}'", f"Use {', '.join(ASPECTS)}.")
        if not isinstance(self.background, str) or not _BACKGROUND.fullmatch(self.background):
            hint = "Write a colour as #rrggbb, such as #faf7f2, or the word blur."
            raise InputError(f"'{_short(self.background)}' is no background", hint)
        if self.num_frames > MAX_FRAMES:
            raise InputError(f"the film has {self.num_frames:,} frames", f"At most {MAX_FRAMES:,}: shorten it.")

    @property
    def num_frames(self) -> int:
        """Number of frames of the film."""
        return self.path.num_frames(self.fps)

    def side(self, resolution: int) -> int:
        """Side of the film in pixels for a model of this resolution."""
        side = self.size or resolution
        return side + side % 2 if self.format == "mp4" else side

    def frame_size(self, resolution: int) -> tuple[int, int]:
        """(width, height) of the film: the picture's side, and the other side grown to the aspect; both then even."""
        side = self.side(resolution)
        across, down = ASPECTS[self.aspect]
        if across == down:
            return side, side
        width, height = (-(-side * a // min(across, down)) for a in (across, down))
        return width + width % 2, height + height % 2

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields: the `config` of a job with the verb `video`."""
        return {**{field.name: getattr(self, field.name) for field in fields(self)}, "path": self.path.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RenderJob:
        """The inverse of `to_dict`. Raises InputError."""
        if not isinstance(data, Mapping):
            raise InputError("a film's settings are not a table of fields", "Make the film anew on the Morph page.")
        unknown = set(map(str, data)) - {field.name for field in fields(cls)}
        if unknown or not {"network", "path"} <= set(data):
            what = f"an unknown field '{sorted(unknown)[0][:40]}'" if unknown else "no network or no path"
            raise InputError(f"a film's settings have {what}", "Make the film anew on the Morph page.")
        job = cls(**{**data, "path": LatentPath.from_dict(data["path"])})
        job.validate()
        return job


def _short(value: object) -> str:
    return str(value)[:20]


# --- frames -----------------------------------------------------------------------------------------------------------


def frames(job: RenderJob, renderer: Renderer, *, batch: int | None = None) -> Iterator[np.ndarray]:
    """Yield the film's frames in order as uint8 `[n, height, width, 3]`, `batch` at a time (None: the renderer's own).

    The noise mode and seed are those of the first keyframe, so that noise does not flicker.
    """
    job.validate()
    resolution = renderer.spec.resolution
    pictures = _pictures(job.path, renderer, job.path.times(job.fps), job.side(resolution), batch)
    return (images.surround(pixels, *job.frame_size(resolution), background=job.background) for pixels in pictures)


def _pictures(
    path: LatentPath, renderer: Renderer, times: np.ndarray, side: int, batch: int | None = None
) -> Iterator[np.ndarray]:
    walker = PathWalker(path, renderer)
    first = path.keyframes[0].recipe
    modes = renderer.spec.noise_modes
    noise_mode = first.noise_mode if len(modes) > 1 else modes[0]  # as Renderer.render does
    batch = batch or renderer.default_batch()
    for start in range(0, len(times), batch):
        part = times[start : start + batch]
        w_plus = walker.w_plus(part)
        seeds = [first.noise_seed] * len(w_plus)
        pixels = renderer.synthesize(w_plus, noise_mode=noise_mode, noise_seeds=seeds, places=walker.places(part))
        yield images.resize(pixels, side, side)


def preview_frames(job: RenderJob, renderer: Renderer, *, max_frames: int = 48, side: int = 128) -> np.ndarray:
    """Return at most `max_frames` frames, evenly spaced and framed as the film's, as uint8 `[n, height, width, 3]`.

    `side` is that of the picture; with the job's aspect and background the frame is larger than the picture.
    """
    job.validate()
    count = min(job.num_frames, max(2, max_frames))
    times = np.arange(count) * (job.path.seconds / (count if job.path.loop else count - 1))
    pixels = np.concatenate(list(_pictures(job.path, renderer, times, side)))
    width, height = replace(job, size=side, format="gif").frame_size(side)  # a gif's sides may be odd
    return images.surround(pixels, width, height, background=job.background)


def preview(job: RenderJob, renderer: Renderer, *, max_frames: int = 48, side: int = 128) -> bytes:
    """Return a small animated WebP of the film: the same duration, at most `max_frames` frames.

    `side` is that of the picture, in pixels.
    """
    pictures = [Image.fromarray(pixels) for pixels in preview_frames(job, renderer, max_frames=max_frames, side=side)]
    ends = np.round(np.arange(1, len(pictures) + 1) * 1000 * job.path.seconds / len(pictures)).astype(int)
    milliseconds = np.maximum(np.diff(ends, prepend=0), 1).tolist()
    out = BytesIO()
    pictures[0].save(
        out, "WEBP", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0, quality=80, method=0
    )
    return out.getvalue()


# --- films ------------------------------------------------------------------------------------------------------------


def render_video(job: RenderJob, dest: Path, *, renderer: Renderer, reporter: Reporter) -> Path:
    """Render the film to `dest`, replacing what is there when it is whole, and return `dest`.

    Every frame goes straight into ffmpeg; memory does not grow with the film. Raises InputError for odd settings,
    Stopped on request, and GanlibError with ffmpeg's last words if it fails; then `dest` is untouched.
    """
    job.validate()
    dest = Path(dest)
    if dest.suffix.lower() != f".{job.format}":
        raise InputError(f"{dest.name} is no name for a {job.format} file", f"Let it end in .{job.format}.")
    comment = json.dumps(_description(job, renderer), separators=(",", ":"))
    if len(comment) > _MAX_COMMENT:
        reporter.log("The film is too long to keep its recipe inside; job.json has it.")
        comment = ""
    size = job.frame_size(renderer.spec.resolution)
    if max(size) > MAX_SIDE:
        hint = f"No side may be over {MAX_SIDE}: choose a smaller size."
        raise InputError(f"a film of {size[0]} × {size[1]} pixels", hint)
    return write_film(
        dest, frames(job, renderer), size, fps=job.fps, num_frames=job.num_frames, crf=job.crf,
        loop=job.path.loop, title=renderer.name, comment=comment, palette=lambda: _palette_frames(job, renderer),
        reporter=reporter,
    )  # fmt: skip


def write_film(
    dest: Path,
    pictures: Iterable[np.ndarray],
    size: tuple[int, int],
    *,
    fps: float,
    num_frames: int,
    palette: Callable[[], Iterable[np.ndarray]],
    reporter: Reporter,
    crf: int = 18,
    loop: bool = True,
    title: str = "",
    comment: str = "",
) -> Path:
    """Write batches of frames, uint8 `[n, height, width, 3]`, as the mp4 or gif that `dest`'s suffix names.

    `size` is (width, height), both even for an mp4. `palette` gives some pictures of one size from which a gif's
    colours are chosen, before the first frame is asked for. `comment` is kept inside the file. Raises Stopped on
    request and GanlibError with ffmpeg's last words if it fails; then `dest` is untouched.
    """
    is_gif = dest.suffix.lower() == ".gif"
    with tempfile.TemporaryDirectory() as folder, replacing(dest) as temporary:
        if is_gif:
            colours = Path(folder) / "palette.png"
            _write_palette(palette(), colours, reporter)
            options = _gif_options(colours, loop=loop)
        else:
            options = _mp4_options(crf, title=title, comment=comment)
        with _ffmpeg([*_raw_input(size, fps), *options, "-y", _as_file(temporary)]) as write:
            done = 0
            reporter.progress(0, num_frames, "frames")
            for pixels in pictures:
                if reporter.should_stop():
                    raise Stopped
                write(pixels)
                done += len(pixels)
                reporter.progress(done, num_frames, "frames")
        if is_gif and comment:
            _insert_gif_comment(temporary, comment)
    return dest


def run_job(config: Mapping[str, Any], run_dir: Path, reporter: Reporter) -> None:
    """Do a job with the verb `video`: `config` is RenderJob.to_dict(); the film is `run_dir/morph.mp4` or `.gif`."""
    job = RenderJob.from_dict(config)
    renderer = Renderer.open(find_checkpoint(job.network), device=job.device)
    reporter.artefact(render_video(job, run_dir / f"morph.{job.format}", renderer=renderer, reporter=reporter))


def _description(job: RenderJob, renderer: Renderer) -> dict[str, Any]:
    """What is written inside the film: the settings, and the model by name and digest rather than by its path."""
    settings = {key: value for key, value in job.to_dict().items() if key not in ("network", "device")}
    return {"latent-atelier": 1, "model": renderer.name, "digest": renderer.digest, "video": settings}


def _as_file(path: Path) -> str:
    """How ffmpeg is told of a file: `foo:bar.mp4` alone would be a protocol, and `-a.mp4` an option."""
    return f"file:{path}"


def _raw_input(size: tuple[int, int], fps: float) -> list[str]:
    sides = f"{size[0]}x{size[1]}"
    return ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", sides, "-framerate", f"{fps:.6g}", "-i", "pipe:0"]


def _mp4_options(crf: int, *, title: str, comment: str) -> list[str]:
    # Players take untagged small films as BT.601 and large ones as BT.709, so the colours are converted and tagged.
    convert = "scale=out_color_matrix=bt709:out_range=tv:flags=lanczos+accurate_rnd+full_chroma_int,format=yuv420p"
    tag = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
    # The seam of a loop is where the last frame, predicted from many others, meets the first, coded on its own; in a
    # slow film little else moves. Three things of x264 make it a visible step: it spends less on frames that no later
    # frame builds on (mbtree), less on blocks with detail (aq), and not enough on the first frame (ipratio; here it is
    # coded at quantiser 0). Measured with the bundled model, 64 px, largest seam of six loops of 1 to 10 s a keyframe,
    # over the largest other step of the same film: mbtree=0 alone 1.58, these options 0.72 (with crf 18: 2.44, 1.03).
    fine = "mbtree=0:aq-mode=0" if crf <= _FINE_CRF else "mbtree=0"  # coarsely coded flat areas need aq
    quality = ["-preset", "medium", "-crf", str(crf), "-x264-params", f"{fine}:ipratio={min(8.0, 2 ** (crf / 6)):.3f}"]
    codec = ["-vf", f"{convert},{tag}", "-c:v", "libx264", *quality]
    words = ["-metadata", f"title=Latent Atelier: {title}", "-metadata", f"comment={comment}"]
    return ["-an", *codec, *words, "-movflags", "+faststart", "-f", "mp4"]


def _gif_options(palette: Path, *, loop: bool) -> list[str]:
    # Ordered dithering stands still from frame to frame; error diffusion crawls.
    filters = ["-i", _as_file(palette), "-lavfi", "paletteuse=dither=bayer:bayer_scale=4"]
    return [*filters, "-loop", "0" if loop else "-1", "-f", "gif"]


def _palette_frames(job: RenderJob, renderer: Renderer) -> Iterator[np.ndarray]:
    """Frames spread over the whole film, from which its one palette is chosen."""
    count = min(job.num_frames, _PALETTE_FRAMES)
    times = job.path.times(job.fps, [i * job.num_frames // count for i in range(count)])
    side = min(job.side(renderer.spec.resolution), 256)
    width, height = replace(job, size=side).frame_size(side)
    pictures = _pictures(job.path, renderer, times, side)
    return (images.surround(pixels, width, height, background=job.background) for pixels in pictures)


def _write_palette(pictures: Iterable[np.ndarray], dest: Path, reporter: Reporter) -> None:
    batches = iter(pictures)
    first = next(batches)
    options = ["-vf", "palettegen=stats_mode=full:reserve_transparent=0", "-frames:v", "1", "-y", _as_file(dest)]
    with _ffmpeg([*_raw_input((first.shape[2], first.shape[1]), 1), *options]) as write:
        for pixels in chain([first], batches):
            if reporter.should_stop():
                raise Stopped
            write(pixels)


def _insert_gif_comment(path: Path, comment: str) -> None:
    """Put a comment before a GIF's first frame, where readers look for it; ffmpeg itself writes none."""
    data = comment.encode("utf-8")
    blocks = b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255))
    with replacing(path, durable=False) as commented, path.open("rb") as source, commented.open("wb") as dest:
        head = source.read(13)  # signature and screen descriptor; its flags tell the size of the palette that follows
        palette = source.read(3 << ((head[10] & 7) + 1)) if head[10] & 0x80 else b""
        dest.write(head + palette + b"\x21\xfe" + blocks + b"\x00")
        shutil.copyfileobj(source, dest)


class _HungUpError(Exception):
    """ffmpeg closed its end of the pipe."""


@contextmanager
def _ffmpeg(arguments: Sequence[str]) -> Iterator[Callable[[np.ndarray], None]]:
    """Start ffmpeg and yield a function that hands it frames, uint8 `[n, H, W, 3]`.

    Leaving the block waits for ffmpeg and raises GanlibError if it failed; leaving by an exception ends it.
    """
    try:
        program = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        hint = "Install it: pip install imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE to a program."
        raise GanlibError("there is no ffmpeg", hint) from error
    with tempfile.TemporaryFile() as words:  # a pipe that nobody reads could block it
        process = subprocess.Popen(
            [program, "-hide_banner", "-loglevel", "error", "-nostdin", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=words,
            start_new_session=True,  # an interrupt from the terminal is ours to answer
        )
        assert process.stdin is not None
        pipe = process.stdin
        try:
            hung_up = False

            def write(pixels: np.ndarray) -> None:
                # Only ffmpeg's own pipe: another one that breaks, such as a closed terminal's, is an error as any.
                try:
                    pipe.write(np.ascontiguousarray(pixels).data)
                    pipe.flush()
                except BrokenPipeError as error:
                    raise _HungUpError from error

            try:
                yield write
            except _HungUpError:  # its words and its exit status say why
                hung_up = True
            with suppress(BrokenPipeError):
                pipe.close()
            process.wait()
        finally:
            process.kill()  # does nothing once it has ended
            with suppress(OSError):
                pipe.close()
            process.wait()
        if process.returncode != 0 or hung_up:
            words.seek(0)
            lines = words.read().decode("utf-8", errors="replace").strip().splitlines()[-5:]
            said = " | ".join(lines) or "it said nothing"
            hint = "Check that there is room on the disk, or try a smaller size."
            raise GanlibError(f"ffmpeg ended with status {process.returncode}: {said}", hint)
