"""Seam and evenness of loops, from the frames of the exported files.

For every curve and number of keyframes a loop is exported (H.264, the defaults of `video`) at plain and at even speed
and decoded again. Change per frame is measured between decoded frames, in grey levels (mean absolute difference) and in
the features of `--features`. Variation is its coefficient of variation; seam is the change from the last frame to the
first over the largest of the three changes on either side of it.

    python benchmarks/loops.py --network checkpoints/fruit.safetensors
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

import imageio.v3 as iio
import numpy as np

from ganlib.features.extractors import FeatureExtractor, open_extractor
from ganlib.latents.paths import CURVES, Keyframe, LatentPath
from ganlib.latents.recipes import Recipe
from ganlib.render.renderer import Renderer
from ganlib.runs import SilentReporter
from ganlib.video import RenderJob, render_video


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", type=Path, default=REPOSITORY / "checkpoints" / "fruit.safetensors")
    parser.add_argument("--keyframes", default="3,8,16", help="(default: %(default)s)")
    parser.add_argument("--curves", default=",".join(CURVES), help="(default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each segment (default: %(default)s)")
    parser.add_argument("--fps", type=int, default=30, help="(default: %(default)s)")
    parser.add_argument("--features", default="embedded", help="(default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=1, help="(default: %(default)s)")
    args = parser.parse_args()
    renderer, extractor = Renderer.open(args.network), open_extractor(args.features)
    print("| keyframes | curve | variation, grey levels | variation, features | seam, grey levels | seam, features |")
    print("| | | plain → even | plain → even | plain, even | plain, even |")
    print("|--:|---|---|---|--:|--:|")
    for count in map(int, args.keyframes.split(",")):
        for curve in args.curves.split(","):
            seeds = range(args.first_seed, args.first_seed + count)
            keyframes = tuple(Keyframe(Recipe.of_seed(seed, psi=0.7), args.seconds) for seed in seeds)
            path = LatentPath(keyframes, curve=curve, loop=True)
            rows = []
            for even in (False, True):
                job = RenderJob(network=str(args.network), path=path, fps=args.fps, even_speed=even)
                rows.append([figures(step) for step in steps(job, renderer, extractor)])
            (grey, seen), (even_grey, even_seen) = rows
            print(
                f"| {count} | {curve} | {grey[0]:.2f} → {even_grey[0]:.2f} | {seen[0]:.2f} → {even_seen[0]:.2f} "
                f"| {grey[1]:.2f}, {even_grey[1]:.2f} | {seen[1]:.2f}, {even_seen[1]:.2f} |",
                flush=True,
            )
    return 0


def steps(job: RenderJob, renderer: Renderer, extractor: FeatureExtractor) -> tuple[np.ndarray, np.ndarray]:
    """Change from every decoded frame to the next, the last one to the first, in grey levels and in features."""
    with tempfile.TemporaryDirectory() as folder:
        film = render_video(job, Path(folder) / "loop.mp4", renderer=renderer, reporter=SilentReporter())
        frames = iio.imread(film, plugin="FFMPEG")
    assert len(frames) == job.num_frames
    vectors = np.concatenate([extractor(frames[i : i + 32]) for i in range(0, len(frames), 32)])
    grey = [np.abs(a.astype(int) - b).mean() for a, b in zip(frames, np.roll(frames, -1, axis=0), strict=True)]
    return np.array(grey), np.linalg.norm(vectors - np.roll(vectors, -1, axis=0), axis=1)


def figures(step: np.ndarray) -> tuple[float, float]:
    """Coefficient of variation, and the seam over the largest of its neighbours."""
    return float(step.std() / step.mean()), float(step[-1] / max(step[-4:-1].max(), step[:3].max()))


if __name__ == "__main__":
    raise SystemExit(main())
