"""Speed of the StyleGAN2 generator as shipped, beside the plain formulation, in one run.

As shipped: tuned allocator, shared weights with scaled input and output, channels_last. Plain: the C library's default
allocator, per-sample weights in one grouped convolution, separate noise, bias and activation, contiguous layout. The
same weights and the same w in both; each in a process of its own, because an allocator is tuned once per process.

    python benchmarks/synthesis.py --resolution 256 --channel-base 16384 --batches 1,4
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from ganlib.compute.device import ALLOCATOR_SWITCH, tune_allocator

FORMS = {"plain": "0", "shipped": "1"}  # form → value of the allocator's switch


def main() -> int:
    """Measure each form in a process of its own, alternating, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=256, help="side in pixels (default: %(default)s)")
    parser.add_argument("--channel-base", type=int, default=16384, help="(default: %(default)s)")
    parser.add_argument("--batches", default="1,4", help="batch sizes (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=8.0, help="for each measurement (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="measurements of each form (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="0 leaves the choice to PyTorch")
    parser.add_argument("--form", choices=FORMS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.form:
        measure_one(args)
        return 0

    import numpy as np

    best: dict[tuple[str, int], float] = {}
    pictures: dict[str, np.ndarray] = {}
    peak = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.rounds):
            for form, switch in FORMS.items():
                out = Path(folder) / f"{form}.npz"
                command = [sys.executable, __file__, *sys.argv[1:], "--form", form, "--out", str(out)]
                subprocess.run(command, check=True, env=os.environ | {ALLOCATOR_SWITCH: switch})
                with np.load(out, allow_pickle=False) as result:
                    pictures[form] = result["image"]
                    peak = max(peak, float(result["peak"]))
                    for batch, seconds in zip(result["batches"].tolist(), result["seconds"].tolist(), strict=True):
                        best[form, batch] = min(seconds, best.get((form, batch), seconds))

    print(f"StyleGAN2 {args.resolution} px, channel_base {args.channel_base}, float32; peak {peak:.0f} GFLOP/s")
    print(f"{'batch':>5}  {'plain':>12}  {'shipped':>12}  {'times':>6}")
    for batch in map(int, args.batches.split(",")):
        plain, shipped = best["plain", batch] / batch, best["shipped", batch] / batch
        print(f"{batch:>5}  {1000 * plain:>9.1f} ms  {1000 * shipped:>9.1f} ms  {plain / shipped:>6.2f}")
    difference = np.abs(pictures["plain"] - pictures["shipped"]).max()
    print(f"max |difference| {difference:.1e} (pictures have standard deviation {pictures['plain'].std():.2f})")
    return 0


def measure_one(args: argparse.Namespace) -> None:
    """Time one form and write seconds per call, the convolution peak and a picture to `args.out`."""
    tune_allocator()
    import numpy as np
    import torch

    from ganlib.networks.stylegan2 import Generator, make_spec
    from ganlib.render.benchmark import convolution_peak, fastest_seconds

    if args.threads:
        torch.set_num_threads(args.threads)
    if args.form == "plain":
        use_plain_layers()
    torch.manual_seed(0)
    generator = Generator(make_spec(resolution=args.resolution, channel_base=args.channel_base)).eval()
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            parameter.data.fill_(0.1)
    batches = [int(part) for part in args.batches.split(",")]
    device = torch.device("cpu")
    with torch.no_grad():
        w = generator.mapping(torch.randn(max(batches), generator.spec.z_dim))
        w_plus = w[:, None].repeat(1, generator.spec.num_ws, 1)
        seconds = [fastest_seconds(partial(generator.synthesis, w_plus[:n]), device, args.seconds) for n in batches]
        image = generator.synthesis(w_plus[:1]).numpy()
        peak = convolution_peak(device, seconds=2.0) if args.form == "shipped" else 0.0
    np.savez(args.out, batches=batches, seconds=seconds, image=image, peak=peak)


def use_plain_layers() -> None:
    """Replace the layers' fast form by its plain twin, one operation after the other, in the contiguous layout."""
    import torch.nn.functional as F
    from torch import Tensor

    from ganlib.networks import modulated, ops, stylegan2

    def layer(
        self: modulated.SynthesisLayer, x: Tensor, w: Tensor, noise_mode: str, rng: object = None, gain: float = 1.0
    ) -> Tensor:
        x = ops.modulated_conv2d_grouped(x, self.weight, self.affine(w), self.resample_filter, up=self.up)
        x = x + self.noise_const * self.noise_strength
        return ops.bias_act(x, self.bias, gain=gain, clamp=self.conv_clamp)

    def to_rgb(self: modulated.ToRGB, x: Tensor, w: Tensor) -> Tensor:
        styles = self.affine(w) * self.weight_gain
        n, channels, height, width = x.shape
        kernel = (self.weight[None] * styles[:, None, :, None, None]).reshape(-1, channels, 1, 1)
        y = F.conv2d(x.reshape(1, n * channels, height, width), kernel, groups=n)
        return y.reshape(n, -1, height, width) + self.bias[:, None, None]

    stylegan2.CHANNELS_LAST_LIMIT = 0
    modulated.SynthesisLayer.forward = layer  # type: ignore[method-assign, assignment]
    modulated.ToRGB.forward = to_rgb  # type: ignore[method-assign]


if __name__ == "__main__":
    sys.exit(main())
