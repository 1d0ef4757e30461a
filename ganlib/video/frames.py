"""The frames of a film, before they are coded: rendered at the model's size, then framed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO

import numpy as np
import torch
from PIL import Image

from ganlib.latents.paths import LatentPath, PathWalker
from ganlib.latents.recipes import Edit
from ganlib.media import images
from ganlib.render.renderer import Renderer
from ganlib.superres import MOST_SCALE, choose_size, open_upscaler
from ganlib.video.job import Reaction, RenderJob
from ganlib.video.overlays import Overlay

Enlarge = Callable[[np.ndarray, int, int], np.ndarray]
"""Pixels `[n, H, W, 3]` uint8, width and height → the same at that size."""


class Rendering:
    """The pictures of a path, at the model's own resolution. Frame i is the same in any batch, within a grey level."""

    def __init__(self, path: LatentPath, renderer: Renderer, reactions: Sequence[Reaction] = ()) -> None:
        self._renderer = renderer
        self._walker = PathWalker(path, renderer)
        # Noise mode and seed are those of the first keyframe, so that noise does not flicker.
        self._first = path.keyframes[0].recipe
        modes = renderer.spec.noise_modes
        self._noise_mode = self._first.noise_mode if len(modes) > 1 else modes[0]  # as Renderer.render does
        bare = replace(self._first, edits=())
        self._steps = []  # (band, what the loudest adds to every w_plus)
        for each in reactions:
            edited = replace(bare, edits=(Edit(each.direction, each.strength, each.first, each.last),))
            at, without = renderer.w_plus([edited, bare])
            self._steps.append((each.band, at - without))

    def pictures(
        self, times: np.ndarray, *, envelopes: Mapping[str, np.ndarray] | None = None, batch: int | None = None
    ) -> Iterator[np.ndarray]:
        """Yield uint8 `[n, R, R, 3]` at `times` in seconds, `batch` at a time (None: the renderer's own).

        `envelopes`: the sound's bands, 0 to 1, one value per time."""
        batch = batch or self._renderer.default_batch()
        for start in range(0, len(times), batch):
            part = times[start : start + batch]
            w_plus = self._walker.w_plus(part)
            for band, step in self._steps:
                assert envelopes is not None
                strength = torch.from_numpy(envelopes[band][start : start + batch]).to(w_plus)
                w_plus = w_plus + strength[:, None, None] * step
            seeds = [self._first.noise_seed] * len(w_plus)
            yield self._renderer.synthesize(
                w_plus, noise_mode=self._noise_mode, noise_seeds=seeds, places=self._walker.places(part),
                noise_strengths=self._walker.noise_strengths(part), batch=batch,
            )  # fmt: skip


def make_enlarge(job: RenderJob) -> Enlarge:
    """Return what brings pictures to the size of a film: its upscaling model, or Lanczos where it has none.

    Raises InputError or CheckpointError for a model that is not here, or is none."""
    if not job.upscaler:
        return images.resize
    upscaler = open_upscaler(job.upscaler, device=job.device)

    def enlarge(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
        own = pixels.shape[1]
        if width <= own:
            return images.resize(pixels, width, height)
        side = min(width, own * MOST_SCALE)
        target = choose_size(own, own, size=f"{side}x{side}")
        return images.resize(np.stack([upscaler.to_size(picture, target) for picture in pixels]), width, height)

    return enlarge


class Framing:
    """From the model's pictures to the film's frames: enlarged, surrounded, with all that is laid over them."""

    def __init__(self, job: RenderJob, resolution: int, enlarge: Enlarge | None = None) -> None:
        """`enlarge` brings pictures to the film's size; None means as the job says."""
        self.side, self.size = job.side(resolution), job.frame_size(resolution)
        self._background, self._enlarge = job.background, enlarge or make_enlarge(job)
        self._overlay = Overlay(job, self.size)

    def frames(self, pixels: np.ndarray, start: int) -> np.ndarray:
        """Return uint8 `[n, height, width, 3]` of pictures `[n, R, R, 3]` that begin at the film's frame `start`."""
        square = self._enlarge(pixels, self.side, self.side)
        return self._overlay.apply(pad_to_canvas(square, self.size, self._background), start)


def pad_to_canvas(pixels: np.ndarray, size: tuple[int, int], background: str) -> np.ndarray:
    """Return pictures `[n, H, W, 3]` in the middle of a canvas of (width, height); `mirror` repeats them mirrored."""
    if background != "mirror":
        return images.surround(pixels, *size, background=background)
    right, below = size[0] - pixels.shape[2], size[1] - pixels.shape[1]
    sides = ((0, 0), (below // 2, below - below // 2), (right // 2, right - right // 2), (0, 0))
    return np.pad(pixels, sides, mode="symmetric")


def preview_frames(
    job: RenderJob,
    renderer: Renderer,
    *,
    max_frames: int = 48,
    side: int = 128,
    times: np.ndarray | None = None,
) -> np.ndarray:
    """Return at most `max_frames` frames, evenly spaced and framed as the film's, as uint8 `[n, height, width, 3]`.

    `side` is that of the picture; with the job's aspect and background the frame is larger than the picture. `times` in
    seconds, such as `frame_times` gives, takes the place of evenly spaced ones. The card, the caption and the sound are
    left out.
    """
    job.validate()
    if times is None:
        count = min(job.path_frames, max(2, max_frames))
        times = np.arange(count) * (job.path.seconds / (count if job.path.loop else count - 1))
    else:
        times = times[np.arange(min(len(times), max_frames)) * len(times) // min(len(times), max_frames)]
    pixels = np.concatenate(list(Rendering(job.path, renderer).pictures(times)))
    size = replace(job, size=side, format="png", bitrate=None, size_limit=None).frame_size(side)  # sides may be odd
    return pad_to_canvas(images.resize(pixels, side, side), size, job.background)


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
