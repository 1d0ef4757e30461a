"""Time of a projection step as shipped, beside the plain formulation, in one run.

As shipped: one set of weights for all pictures, styles scale the input and the output of each convolution, no gradients
of weights; networks that judge look at smaller pictures in the first half of the search. Plain: every picture's own
kernels, so that each step also makes the gradients of all kernels, judged by VGG16 at full size, as published. VGG16
has random weights, which cost what trained ones cost. Steps alternate, and the fastest of each counts.

    python benchmarks/projection.py --resolution 256 --channel-base 16384 --distance own
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from ganlib.compute.device import tune_allocator


def main() -> int:
    """Measure and print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=256, help="side in pixels (default: %(default)s)")
    parser.add_argument("--channel-base", type=int, default=16384, help="(default: %(default)s)")
    parser.add_argument(
        "--distance", choices=("vgg", "own", "pixels"), default="own",
        help="of the shipped form: VGG16, the model's own discriminator, or pixels (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--pictures", type=int, default=1, help="searched for at once (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=4, help="steps of each (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="0 leaves the choice to PyTorch")
    args = parser.parse_args()
    tune_allocator()
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
    searches = {"plain": make_search(args, "vgg"), "first half": make_search(args, args.distance)}
    searches["second half"] = searches["first half"]
    best = dict.fromkeys(searches, math.inf)
    for _ in range(args.rounds + 1):  # the first of each warms up, and still may count
        for form, search in searches.items():
            search.step_number = search.steps * 3 // 4 if form != "first half" else 1
            with plain_kernels() if form == "plain" else keep_kernels():
                began = time.perf_counter()
                search.step()
                best[form] = min(best[form], time.perf_counter() - began)
    side = args.resolution
    print(f"{side} px, channel base {args.channel_base}, {args.pictures} at once, distance {args.distance}, "
          f"{torch.get_num_threads()} threads")  # fmt: skip
    for form, seconds in best.items():
        print(f"{form:<12} {seconds * 1000:9.1f} ms a step")
    mean = (best["first half"] + best["second half"]) / 2
    print(f"shipped / plain, over the whole search: {mean / best['plain']:.2f}")
    return 0


def make_search(args: argparse.Namespace, kind: str) -> Any:
    """A search with random weights of the right sizes."""
    import torch

    from ganlib import networks
    from ganlib.features.extractors import DiscriminatorFeatures
    from ganlib.features.perceptual import BACKBONES, EmbeddedDistance, LpipsDistance, PixelDistance
    from ganlib.projection.config import ProjectConfig
    from ganlib.projection.prior import measure_prior
    from ganlib.projection.search import Search

    torch.manual_seed(0)
    row = networks.architecture("stylegan2")
    spec = row.make_spec(resolution=args.resolution, channel_base=args.channel_base, mapping_layers=2)
    generator = networks.build_generator(spec).requires_grad_(False)
    distance: Any = PixelDistance()
    if kind == "vgg":
        backbone = BACKBONES["lpips-vgg"]
        widths = (64, 128, 256, 512, 512)
        distance = LpipsDistance(backbone, backbone.build(), [torch.rand(1, width, 1, 1) for width in widths])
    elif kind == "own":
        distance = EmbeddedDistance(DiscriminatorFeatures(networks.build_discriminator(spec)), "random-d")
    prior = measure_prior(generator, samples=200)
    image = torch.rand(args.pictures, 3, args.resolution, args.resolution) * 2 - 1
    config = ProjectConfig(network=Path("random"), target=(Path("random"),))
    start = prior.w_avg[None].repeat(args.pictures, 1)
    return Search(generator, distance, image, start, [None] * args.pictures, [prior] * args.pictures, config)


@contextmanager
def keep_kernels() -> Iterator[None]:
    """Leave everything as it is."""
    yield


@contextmanager
def plain_kernels() -> Iterator[None]:
    """Let every modulated convolution make each picture's own kernels, as the paper's formula reads."""
    import torch
    import torch.nn.functional as F

    from ganlib.networks import ops
    from ganlib.networks.modulated import SynthesisLayer

    def forward(
        self: Any, x: Any, w: Any, noise_mode: str, rng: Any = None, gain: float = 1.0, noise_gain: Any = None
    ) -> Any:
        if not torch.is_grad_enabled():
            return own(self, x, w, noise_mode, rng, gain)
        y = ops.modulated_conv2d_grouped(x, self.weight, self.affine(w), self.resample_filter, up=self.up)
        if noise_mode == "const":
            y = y + self.noise_const * self.noise_strength
        y = F.leaky_relu(y + self.bias[:, None, None], 0.2) * (ops.SQRT2 * gain)
        return y if self.conv_clamp is None else y.clamp(-self.conv_clamp * gain, self.conv_clamp * gain)

    own = SynthesisLayer.forward
    SynthesisLayer.forward = forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        SynthesisLayer.forward = own  # type: ignore[method-assign]


if __name__ == "__main__":
    sys.exit(main())
