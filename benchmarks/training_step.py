"""Speed of a StyleGAN2 training step as shipped, beside the plain formulation, in one run.

As shipped: tuned allocator, shared weights with scaled input and output, resampling without inserted zeros, second
derivatives that are convolutions. Plain: the C library's default allocator, per-sample weights in one grouped
convolution, plain upfirdn2d, PyTorch's own second derivatives, contiguous layout. Each in a process of its own,
because an allocator is tuned once per process.

A step is one of G, one of D, a quarter of a path-length step on half the batch and a sixteenth of an R1 step, batch 8,
float32, no optimizer. The time is the least CPU time of a process on one thread, which other work on the machine
disturbs little.

    python benchmarks/training_step.py --resolutions 64,128
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from ganlib.compute.device import ALLOCATOR_SWITCH, tune_allocator

FORMS = {"plain": "0", "shipped": "1"}  # form → value of the allocator's switch
SHARES = {"G": 1.0, "D": 1.0, "PL": 1 / 4, "R1": 1 / 16}  # how often a step of each kind is made
BATCH = 8
Z_DIM = 256


def main() -> int:
    """Measure each form in processes of its own, alternating, and print the table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolutions", default="64,128", help="sides in pixels (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="processes of each form (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=3, help="timed calls of each kind (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--form", choices=FORMS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    resolutions = [int(part) for part in args.resolutions.split(",")]
    if args.form:
        measured = {str(side): measure(args.form, side, args.calls) for side in resolutions}
        args.out.write_text(json.dumps(measured), encoding="utf-8")
        return 0

    best: dict[tuple[int, str, str], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.rounds):
            for form, switch in FORMS.items():
                out = Path(folder) / f"{form}.json"
                command = [sys.executable, __file__, *sys.argv[1:], "--form", form, "--out", str(out)]
                subprocess.run(command, check=True, env=os.environ | {ALLOCATOR_SWITCH: switch})
                result = json.loads(out.read_text(encoding="utf-8"))
                for side in resolutions:
                    for kind, seconds in result[str(side)].items():
                        key = (side, form, kind)
                        best[key] = min(seconds, best.get(key, seconds))

    rows = []
    for side in resolutions:
        row: dict[str, float] = {"resolution": side}
        for form in FORMS:
            row |= {f"{form}_{kind}_ms": 1000 * best[side, form, kind] for kind in SHARES}
            step = sum(share * best[side, form, kind] for kind, share in SHARES.items())
            row[f"{form}_seconds_per_kimg"] = step / BATCH * 1000
        rows.append(row | {"ratio": row["plain_seconds_per_kimg"] / row["shipped_seconds_per_kimg"]})
    if args.json:
        print(json.dumps(rows, indent=2))
        return 0
    print(f"StyleGAN2, batch {BATCH}, float32, one thread; CPU seconds per 1000 pictures, ms per kind of step")
    print(f"{'px':>4}  {'form':>8}  {'s/kimg':>7}  " + "  ".join(f"{kind:>7}" for kind in SHARES))
    for row in rows:
        for form in FORMS:
            kinds = "  ".join(f"{row[f'{form}_{kind}_ms']:>7.0f}" for kind in SHARES)
            print(f"{row['resolution']:>4}  {form:>8}  {row[f'{form}_seconds_per_kimg']:>7.0f}  {kinds}")
        print(f"{row['resolution']:>4}  {'times':>8}  {row['ratio']:>7.2f}")
    return 0


def measure(form: str, resolution: int, calls: int) -> dict[str, float]:
    """Least CPU seconds of one step of each kind."""
    tune_allocator()
    import torch
    import torch.nn.functional as F
    from torch import Tensor

    from ganlib.networks.stylegan2 import Discriminator, Generator, make_spec

    torch.set_num_threads(1)
    if form == "plain":
        use_plain_layers()
    torch.manual_seed(0)
    spec = make_spec(
        resolution=resolution, channel_base=32 * resolution, channel_max=128, z_dim=Z_DIM, w_dim=Z_DIM,
        D={"mbstd_group_size": 4},
    )  # fmt: skip
    generator, discriminator = Generator(spec).train(), Discriminator(spec).train()
    real = torch.randn(BATCH, spec.img_channels, resolution, resolution)

    def fakes(count: int) -> tuple[Tensor, Tensor]:
        w_plus = generator.mapping(torch.randn(count, Z_DIM))[:, None].repeat(1, spec.num_ws, 1)
        return generator.synthesis(w_plus, noise_mode="random"), w_plus

    def step_g() -> None:
        discriminator.requires_grad_(False)
        F.softplus(-discriminator(fakes(BATCH)[0])).mean().backward()
        discriminator.requires_grad_(True)

    def step_d() -> None:
        with torch.no_grad():
            fake, _ = fakes(BATCH)
        (F.softplus(discriminator(fake)) + F.softplus(-discriminator(real))).mean().backward()

    def step_path_length() -> None:
        images, w_plus = fakes(BATCH // 2)
        target = (images * torch.randn_like(images)).sum() / math.sqrt(resolution**2)
        (slope,) = torch.autograd.grad(target, w_plus, create_graph=True)
        (slope.square().sum(dim=2).mean(dim=1).sqrt() - 1).square().mean().backward()

    def step_r1() -> None:
        images = real.detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(discriminator(images).sum(), images, create_graph=True)
        slope.square().sum(dim=[1, 2, 3]).mean().backward()

    def least(step: Callable[[], None]) -> float:
        times = []
        for _ in range(calls + 1):
            for module in (generator, discriminator):
                module.zero_grad(set_to_none=True)
            start = time.process_time()
            step()
            times.append(time.process_time() - start)
        return min(times[1:])

    return {"G": least(step_g), "D": least(step_d), "PL": least(step_path_length), "R1": least(step_r1)}


def use_plain_layers() -> None:
    """Replace every fast form of a training step by its plain twin."""
    import torch
    from torch import Tensor

    from ganlib.networks import modulated, ops, stylegan2

    def layer(
        self: modulated.SynthesisLayer, x: Tensor, w: Tensor, noise_mode: str, rng: object = None, gain: float = 1.0
    ) -> Tensor:
        x = ops.modulated_conv2d_grouped(x, self.weight, self.affine(w), self.resample_filter, up=self.up)
        x = x + torch.randn(len(x), 1, *x.shape[2:]) * self.noise_strength
        return ops.bias_act(x, self.bias, gain=gain, clamp=self.conv_clamp)

    def to_rgb(self: modulated.ToRGB, x: Tensor, w: Tensor) -> Tensor:
        styles = self.affine(w) * self.weight_gain
        return ops.modulated_conv2d_grouped(x, self.weight, styles, demodulate=False) + self.bias[:, None, None]

    def convolution(self: ops.EqualizedConv2d, x: Tensor, gain: float = 1.0) -> Tensor:
        x = x.contiguous()
        half = self.weight.shape[-1] // 2
        w, f = self.weight * self.weight_gain, self.resample_filter
        x = ops.conv2d_resample(x, w, f, up=self.up, down=self.down, padding=half, flip_weight=self.up == 1)
        return ops.bias_act(x, self.bias, act=self.act, gain=gain, clamp=self.conv_clamp)

    stylegan2.CHANNELS_LAST_LIMIT = 0
    modulated.SynthesisLayer.forward = layer  # type: ignore[method-assign, assignment]
    modulated.ToRGB.forward = to_rgb  # type: ignore[method-assign]
    ops.EqualizedConv2d.forward = convolution  # type: ignore[method-assign]
    ops.upsample2d = lambda x, f: ops.upfirdn2d(x, f, up=2, padding=[2, 1, 2, 1], gain=4.0)
    ops.downsample2d = lambda x, f: ops.upfirdn2d(x, f, down=2, padding=1)


if __name__ == "__main__":
    sys.exit(main())
