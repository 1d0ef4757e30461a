"""How frames are coded: what ffmpeg is told for each codec.

A piece begins with a frame that stands alone and refers to nothing outside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganlib.media.ffmpeg import TO_YUV

if TYPE_CHECKING:
    from ganlib.video.job import RenderJob

_FINE_CRF = 20


def code_mp4(job: RenderJob, num_frames: int) -> list[str]:
    """H.264 or H.265, as the job says."""
    return [*CODECS[job.codec].options(job.crf, job.bitrate, last=num_frames - 1), "-f", "mp4"]


def code_webm(job: RenderJob, num_frames: int) -> list[str]:
    """VP9."""
    return [*vp9_options(job.crf, job.bitrate), "-f", "webm"]


def code_lossless(job: RenderJob, num_frames: int) -> list[str]:
    """FFV1 in RGB, for formats that are finished from the whole film."""
    return ["-pix_fmt", "gbrp", "-c:v", "ffv1", "-level", "3", "-g", "1", "-f", "matroska"]


def h264_options(crf: int, bitrate: float | None = None, *, last: int | None = None) -> list[str]:
    """H.264, 4:2:0, BT.709; `bitrate` in megabits per second goes before `crf`; the frame `last` is coded finely."""
    # The seam of a loop is where the last frame, predicted from many others, meets the first, coded on its own; in a
    # slow film little else moves. Three things of x264 make it a visible step: it spends less on frames that no later
    # frame builds on (mbtree), less on blocks with detail (aq), and not enough on the first frame (ipratio; here it is
    # coded at quantiser 0). Measured with the bundled model, 64 px, largest seam of six loops of 1 to 10 s a keyframe,
    # over the largest other step of the same film: mbtree=0 alone 1.58, these options 0.72 (with crf 18: 2.44, 1.03).
    # Where two pieces of a long film meet is such a seam too. Frames that no other builds on are coded more coarsely
    # (B frames), and so every second step is larger. Measured on loops of three keyframes with even speed, 64 px,
    # variation of the change in features over that of plain time: with B frames 0.65, 0.60 and 0.53 (lines, cubic,
    # noise), without 0.44, 0.43 and 0.50, as before coding; the files are from 8 % smaller to 20 % larger.
    if bitrate is not None:
        return ["-vf", TO_YUV, "-c:v", "libx264", "-preset", "medium", *_rate(bitrate), "-x264-params", "mbtree=0"]
    fine = "mbtree=0:aq-mode=0:bframes=0" if crf <= _FINE_CRF else "mbtree=0"  # coarsely coded flat areas need aq
    params = f"{fine}:ipratio={min(8.0, 2 ** (crf / 6)):.3f}{_zone(last)}"
    return ["-vf", TO_YUV, "-c:v", "libx264", "-preset", "medium", "-crf", str(crf), "-x264-params", params]


def h265_options(crf: int, bitrate: float | None = None, *, last: int | None = None) -> list[str]:
    """H.265, 4:2:0, BT.709, under the name (`hvc1`) by which Apple's players know it."""
    fine = f"cutree=0:aq-mode=0:bframes=0:ipratio={min(8.0, 2 ** (crf / 6)):.3f}" if crf <= _FINE_CRF else "cutree=0"
    rate = _rate(bitrate) if bitrate is not None else ["-crf", str(crf)]
    fine += _zone(last) if crf <= _FINE_CRF else ""
    params = f"log-level=error:open-gop=0:{'cutree=0' if bitrate is not None else fine}"
    return ["-vf", TO_YUV, "-c:v", "libx265", "-preset", "medium", *rate, "-tag:v", "hvc1", "-x265-params", params]


def vp9_options(crf: int, bitrate: float | None = None) -> list[str]:
    """VP9, 4:2:0, BT.709. Its scale of quality ends at 63, where that of H.264 ends at 51."""
    rate = _rate(bitrate) if bitrate is not None else ["-crf", str(round(crf * 63 / 51)), "-b:v", "0"]
    speed = ["-deadline", "good", "-cpu-used", "4", "-row-mt", "1", "-g", "9999"]
    return ["-vf", TO_YUV, "-c:v", "libvpx-vp9", *rate, *speed]


def _zone(last: int | None) -> str:
    """x264's and x265's words for the frames beside a seam: the last as fine as the first, at quantiser 2, and those
    after the first at 8; in a slow film they would else be the first once more, since so small a change is not coded.

    Measured on decoded slow loops (3 keyframes of 2 s, even speed), the seam in grey levels over the largest of three
    neighbours on either side: without 1.06 (cubic) and 1.02 (circle), with quantiser 2 it is 0.83 and 0.84.
    """
    if not last or last < 8:
        return ""
    return f":zones=1,3,q=8/{last},{last},q=2"


def _rate(megabits: float) -> list[str]:
    return ["-b:v", f"{megabits:g}M", "-maxrate", f"{megabits * 1.5:g}M", "-bufsize", f"{megabits * 2:g}M"]


@dataclass(frozen=True)
class Codec:
    """One way to code an mp4."""

    title: str
    """For people."""
    options: Callable[..., list[str]]
    """ffmpeg's options from crf, bitrate and, as `last`, the number of the last frame."""
    tag: tuple[str, ...] = ()
    """ffmpeg's options where pieces are joined."""


CODECS = {
    "h264": Codec("H.264", h264_options),
    "h265": Codec("H.265", h265_options, ("-tag:v", "hvc1")),
}
