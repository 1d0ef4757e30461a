"""A film end to end, as shipped and as a plain loop, in one run; and peak memory of a short and a long one.

As shipped: `render_video`, in which synthesis, framing and coding overlap and pieces go to the disk. Plain: all frames
are rendered, kept, and coded when the last is there. The same untrained generator, frames and codec in both, in turns,
the best of each. Memory is that of a process of its own (the largest resident set, ffmpeg's not counted).

    python benchmarks/film.py --resolution 256 --seconds 2
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

import numpy as np

from ganlib import networks
from ganlib.latents.paths import Keyframe, LatentPath
from ganlib.latents.recipes import Recipe
from ganlib.render.renderer import Renderer
from ganlib.runs import SilentReporter
from ganlib.video import RenderJob, frames, own_device, render_video, write_film


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=256, help="side in pixels (default: %(default)s)")
    parser.add_argument("--channel-base", type=int, default=8192, help="width of the generator (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of the timed film (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of each form (default: %(default)s)")
    parser.add_argument("--size", type=int, help="side of the film (default: the resolution)")
    parser.add_argument("--device", default="auto", help="(default: %(default)s)")
    parser.add_argument("--memory", default="10,100", help="seconds of the films whose memory is compared")
    parser.add_argument("--peak-of", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak_of is not None:
        film(args, args.peak_of, renderer_of(args, tiny=True), shipped=True)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        return 0
    renderer = renderer_of(args)
    film(args, 0.3, renderer, shipped=True)  # warms up what is slow only once
    best = {True: float("inf"), False: float("inf")}
    for _ in range(args.rounds):
        for shipped in best:
            best[shipped] = min(best[shipped], film(args, args.seconds, renderer, shipped=shipped))
    count = job_of(args, args.seconds).num_frames
    print(f"{count} frames of {args.size or args.resolution} px from {args.resolution} px on {renderer.device}")
    for shipped, seconds in best.items():
        print(f"{'shipped' if shipped else 'plain':8s} {count / seconds:7.2f} frames/s   {seconds:.2f} s")
    print(f"ratio    {best[False] / best[True]:.2f}")
    for seconds in args.memory.split(","):
        command = [sys.executable, __file__, *sys.argv[1:], "--peak-of", seconds]
        out = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ).stdout
        print(f"peak memory of {seconds} s at 30 frames/s: {int(out)} MiB")
    return 0


def renderer_of(args: argparse.Namespace, *, tiny: bool = False) -> Renderer:
    """An untrained generator of the benchmark's size; for memory a tiny one, whose frames are enlarged."""
    if tiny:
        return Renderer(networks.tiny_generator(), name="tiny", digest="benchmark")
    from ganlib.compute.device import choose_device

    generator = networks.tiny_generator(
        resolution=args.resolution, channel_base=args.channel_base, channel_max=512, z_dim=512, w_dim=512
    )
    return Renderer(generator.to(choose_device(own_device(args.device))), name="benchmark", digest="benchmark")


def job_of(args: argparse.Namespace, seconds: float) -> RenderJob:
    """A loop of four seeds."""
    path = LatentPath(tuple(Keyframe(Recipe.of_seed(seed), seconds / 4) for seed in range(1, 5)))
    return RenderJob("benchmark", path, size=args.size or args.resolution, crf=18)


def film(args: argparse.Namespace, seconds: float, renderer: Renderer, *, shipped: bool) -> float:
    """Make a film and return how long it took."""
    job = job_of(args, seconds)
    with tempfile.TemporaryDirectory() as folder:
        dest = Path(folder) / "film.mp4"
        began = time.perf_counter()
        if shipped:
            render_video(job, dest, renderer=renderer, reporter=SilentReporter())
        else:
            whole = np.concatenate(list(frames(job, renderer)))
            size = (whole.shape[2], whole.shape[1])
            write_film(
                dest, [whole], size, fps=job.fps, num_frames=len(whole), palette=list, reporter=SilentReporter(),
                crf=job.crf,
            )  # fmt: skip
        return time.perf_counter() - began


if __name__ == "__main__":
    raise SystemExit(main())
