"""Upscaling networks beside Lanczos on pictures that the embedded one never saw.

Every 17th picture of the set, 40 at most, which `python -m ganlib upscaler` holds out, is made four times smaller and
enlarged again: once by a bicubic kernel alone (clean), once blurred, grainy and compressed as pictures are met
(degraded; the same for all). Means of PSNR in dB, SSIM, SqueezeNet's feature distance where its weights are, and the
embedded distance, on which nothing here was trained; smaller distances are better.

    python benchmarks/upscaling.py --data paintings.zip --models atelier-x4 realesr-general-x4v3
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from ganlib.compute.device import tune_allocator

if TYPE_CHECKING:
    import numpy as np

    from ganlib.features.perceptual import Distance
    from ganlib.superres import Upscaler


def main() -> int:
    """Measure and print one table for each kind of small picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder or zip of pictures")
    parser.add_argument("--models", nargs="+", default=["atelier-x4"], help="names or files (default: %(default)s)")
    parser.add_argument("--pictures", type=int, default=40, help="of those held out (default: %(default)s)")
    parser.add_argument("--sheet", type=Path, help="write some of them side by side as PNG")
    parser.add_argument("--threads", type=int, default=0, help="0 leaves the choice to PyTorch")
    args = parser.parse_args()
    tune_allocator()
    import numpy as np
    import torch

    from ganlib.features import extractors
    from ganlib.features.perceptual import open_distance
    from ganlib.media import images
    from ganlib.superres import open_upscaler
    from ganlib.superres.degradation import degrade
    from ganlib.superres.training import read_pictures

    if args.threads:
        torch.set_num_threads(args.threads)
    held = read_pictures([args.data], 16)[1][: args.pictures]
    distances = [open_distance("embedded")]
    if extractors.squeezenet_file() is not None:
        distances.append(open_distance("squeezenet"))
    upscalers = {name: open_upscaler(name) for name in args.models}
    sheet = []
    for kind in ("clean", "degraded"):
        rows: dict[str, list[list[float]]] = {name: [] for name in ("Lanczos", *upscalers)}
        for number, pixels in enumerate(held):
            high, wide = (side // 4 * 4 for side in pixels.shape[:2])
            large = pixels[:high, :wide]
            rng = np.random.default_rng(number)
            small = degrade(large, 4, rng, clean=1.0 if kind == "clean" else 0.0)
            made = {"Lanczos": enlarge(None, small, large)}
            made |= {name: enlarge(upscaler, small, large) for name, upscaler in upscalers.items()}
            for name, picture in made.items():
                rows[name].append(judge(picture, large, distances))
            if number % 8 == 3:
                sheet += [images.resize(picture, 256, 256) for picture in (*made.values(), large)]
        names = ["PSNR, dB", "SSIM", *(distance.name for distance in distances)]
        print(f"{kind}, {len(held)} pictures\n| | {' | '.join(names)} |\n|:--|{'--:|' * len(names)}")
        for name, found in rows.items():
            means = np.mean(found, axis=0)
            cells = [f"{means[0]:.2f}", f"{means[1]:.3f}", *(f"{value:.4f}" for value in means[2:])]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    if args.sheet:
        args.sheet.write_bytes(images.encode(images.contact_sheet(np.stack(sheet), columns=len(upscalers) + 2)))
    return 0


def enlarge(upscaler: Upscaler | None, small: np.ndarray, large: np.ndarray) -> np.ndarray:
    """`small` at the size of `large`, uint8; by Lanczos where there is no network."""
    from ganlib.media import images
    from ganlib.superres import choose_size

    height, width = large.shape[:2]
    if upscaler is None:
        return images.resize(small, width, height)
    target = choose_size(small.shape[1], small.shape[0], size=f"{width}x{height}", fit="stretch")
    return upscaler.to_size(small, target)


def judge(picture: np.ndarray, large: np.ndarray, distances: list[Distance]) -> list[float]:
    """PSNR, SSIM and each distance."""
    import torch

    from ganlib.features.perceptual import psnr, ssim
    from ganlib.media import images

    found = [psnr(picture, large), ssim(picture, large)]
    with torch.no_grad():
        for distance in distances:
            distance.prepare(images.from_pixels(large[None]))
            found.append(float(distance(images.from_pixels(picture[None]))))
    return found


if __name__ == "__main__":
    sys.exit(main())
