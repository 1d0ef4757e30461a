"""How near a projection comes in how many steps, as shipped and as published, and how its latents bear an edit.

Curves: whole searches in w of several lengths, for the same pictures, by the same distance. As published (StyleGAN2,
appendix D): the noise maps are fitted too, nothing keeps w ordinary, the last step counts. As shipped: see
`ganlib.projection.search`. Both are judged by the picture with the model's own noise, which is what everybody sees.

Edits: w, w_plus and a tuned model of each picture are moved along the model's first principal components of w. How well
an edit works is the cosine between what it changes, in features, and what it changes in ordinary pictures on average;
for ordinary pictures themselves it is printed too.

    python benchmarks/projection_quality.py --targets FOLDER --own-seeds 85 --steps 50,100,200,300,500,1000
    python benchmarks/projection_quality.py --targets FOLDER --edits edits.png
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

import numpy as np
import torch

from ganlib.features.perceptual import open_distance, psnr
from ganlib.latents.recipes import Recipe, parse_seeds
from ganlib.media import images
from ganlib.projection import crop_square, find_targets, read_target, search
from ganlib.projection.config import ProjectConfig
from ganlib.projection.job import look_every
from ganlib.projection.prior import measure_prior
from ganlib.projection.target import to_network
from ganlib.projection.tuning import Tuning
from ganlib.render.directions.discovery import principal_components, sample_w
from ganlib.render.renderer import Renderer

SIGMAS = 1.0


def main() -> int:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", type=Path, default=REPOSITORY / "checkpoints" / "fruit.safetensors")
    parser.add_argument("--targets", type=Path, nargs="*", default=[], help="pictures, or folders of pictures")
    parser.add_argument("--own-seeds", default="", help="pictures of the model itself at psi 0.7")
    parser.add_argument("--steps", default="50,100,200,300,500,1000", help="(default: %(default)s)")
    parser.add_argument("--edits", type=Path, metavar="F.png", help="measure edits, and write a sheet")
    parser.add_argument("--distance", default="embedded", help="(default: %(default)s)")
    args = parser.parse_args()
    renderer = Renderer.open(args.network, device="cpu")
    names, pixels = _targets(args, renderer)
    target = to_network(pixels, renderer.spec)
    if args.edits:
        edits(args, renderer, names, pixels, target)
        return 0
    print("| steps | published, PSNR | shipped, PSNR | published, distance | shipped, distance |")
    print("|--:|--:|--:|--:|--:|")
    for steps in map(int, args.steps.split(",")):
        rows = [search_whole(args, renderer, target, steps, "w", published=published) for published in (True, False)]
        made = [renderer.synthesize(w, noise_mode=renderer.spec.noise_modes[0]) for w, _ in rows]
        near = [np.mean([psnr(a, b) for a, b in zip(pictures, pixels, strict=True)]) for pictures in made]
        far = [float(distance.mean()) for _, distance in rows]
        print(f"| {steps} | {near[0]:.1f} | {near[1]:.1f} | {far[0]:.3f} | {far[1]:.3f} |", flush=True)
    return 0


def _targets(args: argparse.Namespace, renderer: Renderer) -> tuple[list[str], np.ndarray]:
    side, names, pixels = renderer.spec.resolution, [], []
    for seed in parse_seeds(args.own_seeds) if args.own_seeds else []:
        names.append(f"seed {seed}")
        pixels.append(renderer.render([Recipe.of_seed(seed, psi=0.7)])[0])
    for path in find_targets(args.targets) if args.targets else []:
        names.append(path.stem)
        pixels.append(crop_square(read_target(path), side))
    return names, np.stack(pixels)


def search_whole(
    args: argparse.Namespace, renderer: Renderer, target: torch.Tensor, steps: int, space: Any, *, published: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """w_plus `[N, num_ws, w_dim]` and distances `[N]` of a whole search."""
    generator = renderer.generator.requires_grad_(False)
    prior, distance = measure_prior(generator), open_distance(args.distance, args.network)
    config = ProjectConfig(network=args.network, target=(args.network,), steps=steps, space=space, noise=published)
    start = prior.w_avg[None].repeat(len(target), 1)
    kept = search.ORDINARY_PENALTY
    search.ORDINARY_PENALTY = 0.0 if published else kept
    try:
        one = search.Search(generator, distance, target, start, [None] * len(target), [prior] * len(target), config)
        for number in range(1, steps + 1):
            one.step()
            if not published and (number % look_every(steps) == 0 or number == steps):
                one.look()
    finally:
        search.ORDINARY_PENALTY = kept
    if published:
        return one.w_plus().detach(), one.look()[0]
    return one.best_w, one.best


def edits(
    args: argparse.Namespace, renderer: Renderer, names: list[str], pixels: np.ndarray, target: torch.Tensor
) -> None:
    """Print how w, w_plus and tuned models bear edits, and write a sheet of one edit on each."""
    generator = renderer.generator
    distance, prior = open_distance(args.distance, args.network), measure_prior(generator)
    directions = principal_components(renderer, 4)
    steps = [SIGMAS * s * v[None, None] for v, s in zip(directions.vectors, directions.sigma, strict=True)]
    ordinary = sample_w(renderer, 64)[:, None].repeat(1, renderer.spec.num_ws, 1)

    def change(synthesis: Any, w_plus: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            made = [synthesis(w, noise_mode=renderer.spec.noise_modes[0]) for w in (w_plus, w_plus + step)]
            return distance.embed(made[1]) - distance.embed(made[0])

    usual = [change(generator.synthesis, ordinary, step).mean(dim=0) for step in steps]

    def likeness(synthesis: Any, w_plus: torch.Tensor) -> float:
        moved = [change(synthesis, w_plus, step) for step in steps]
        cosines = [torch.nn.functional.cosine_similarity(m, u[None]) for m, u in zip(moved, usual, strict=True)]
        return float(torch.stack(cosines).mean())

    print(f"ordinary pictures: {likeness(generator.synthesis, ordinary):.3f}")
    w, _ = search_whole(args, renderer, target, 300, "w", published=False)
    w_plus, _ = search_whole(args, renderer, target, 300, "w_plus", published=False)
    print("| target | w: distance, edit | w_plus: distance, edit | w and tuning: distance, edit |\n|---|---|---|---|")
    rows, total = [], []
    for i, name in enumerate(names):
        tuning = Tuning(generator, distance, target[i : i + 1], w[i : i + 1], prior, steps=350, seed=0)
        while not tuning.is_done:
            tuning.step()
            if tuning.step_number % 10 == 0:
                tuning.look()
        tuning.look()
        tuned = tuning.result()
        distance.prepare(target[i : i + 1])
        own, rows_of = w[i : i + 1], w_plus[i : i + 1]
        sets = [(generator.synthesis, own), (generator.synthesis, rows_of), (tuned.synthesis, own)]
        row, figures = [pixels[i]], []
        for synthesis, latent in sets:
            with torch.no_grad():
                mode = renderer.spec.noise_modes[0]
                made = [synthesis(each, noise_mode=mode) for each in (latent, latent + steps[0])]
                figures += [float(distance(made[0])), likeness(synthesis, latent)]
            row += [images.to_pixels(picture)[0] for picture in made]
        rows += row
        total.append(figures)
        print(_row(name, figures), flush=True)
    print(_row("mean", list(np.mean(total, axis=0))))
    sheet = images.contact_sheet(images.resize(np.stack(rows), 96, 96), columns=7, gap=4)
    args.edits.write_bytes(images.encode(sheet))


def _row(name: str, figures: list[float]) -> str:
    pairs = zip(figures[::2], figures[1::2], strict=True)
    return f"| {name} | " + " | ".join(f"{distance:.3f}, {edit:.2f}" for distance, edit in pairs) + " |"


if __name__ == "__main__":
    raise SystemExit(main())
