"""Speed of StyleGAN3's filtered leaky ReLU as shipped, beside the plain formulation, in one run.

As shipped: one-dimensional polyphase filters on channels-last features, in bands of rows on a CPU. Plain: zeros are
inserted, every filter is two-dimensional, and pixels are dropped at the end. The same features and filters in both,
layer by layer of a whole generator; the two forms take turns. `--channels` caps the widths, because the plain form is
slow: both costs are proportional to them.

    python benchmarks/filtered_lrelu.py --resolution 256 --config t
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from ganlib.compute.device import tune_allocator


def main() -> int:
    """Measure both forms of every layer in turns, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=256, help="side in pixels (default: %(default)s)")
    parser.add_argument("--config", choices="tr", default="t", help="configuration (default: %(default)s)")
    parser.add_argument("--channels", type=int, default=64, help="most feature maps (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=1, help="pictures at once (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each form (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="0 leaves the choice to PyTorch")
    args = parser.parse_args()
    tune_allocator()
    import torch

    from ganlib.networks import alias_free, stylegan3
    from ganlib.render.benchmark import fastest_seconds

    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    device = torch.device(args.device)
    is_radial = args.config == "r"
    spec = stylegan3.make_spec(
        resolution=args.resolution, channel_base=args.channels * args.resolution, channel_max=args.channels,
        conv_kernel=1 if is_radial else 3, use_radial_filters=is_radial,
    )  # fmt: skip
    synthesis = stylegan3.SynthesisNetwork(spec).eval().requires_grad_(False).to(device)
    print(f"StyleGAN3-{args.config} {args.resolution} px, up to {args.channels} channels, batch {args.batch}, float32")
    print(f"{'layer':>14}  {'plain':>12}  {'shipped':>12}  {'times':>6}  {'max |difference|':>17}")
    totals = [0.0, 0.0]
    rows = stylegan3.bands(spec)
    for number, name in enumerate(synthesis.layer_names[:-1]):
        layer = getattr(synthesis, name)
        side = rows[max(number - 1, 0)].size + layer.kernel_size - 1 - sum(layer.crop)
        x = torch.randn(args.batch, args.channels, side, side, device=device)
        wide = x.contiguous(memory_format=torch.channels_last)
        parts = alias_free.separable_parts(layer.down_filter)
        same = {"up": layer.up, "down": layer.down, "padding": layer.padding, "clamp": layer.conv_clamp}
        plain = partial(alias_free.filtered_lrelu_plain, x, layer.up_filter, layer.down_filter, **same)
        shipped = partial(alias_free.filtered_lrelu, wide, layer.up_filter, parts, **same)
        with torch.no_grad():
            found = [[fastest_seconds(form, device, 0.05) for form in (plain, shipped)] for _ in range(args.rounds)]
            expected = plain()
            difference = ((shipped() - expected).abs().max() / expected.std()).item()
        best = [min(row[form] for row in found) for form in range(2)]
        totals = [totals[form] + best[form] for form in range(2)]
        print_row(name, best, f"{difference:>17.1e}")
    print_row("together", totals, "")
    return 0


def print_row(name: str, seconds: list[float], rest: str) -> None:
    """Print seconds of both forms, plain and shipped, in milliseconds, and their ratio."""
    plain, shipped = seconds
    print(f"{name:>14}  {1000 * plain:>9.1f} ms  {1000 * shipped:>9.1f} ms  {plain / shipped:>6.1f}  {rest}".rstrip())


if __name__ == "__main__":
    sys.exit(main())
