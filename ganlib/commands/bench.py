"""`bench`: pictures per second of a model on this machine, beside the machine's measured convolution peak."""

from __future__ import annotations

import argparse

from ganlib.commands.flags import add_network_flags, open_renderer


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_network_flags(parser)
    parser.add_argument("--batches", default="1,4,16", metavar="LIST", help="batch sizes (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each measurement (default: %(default)g)")


def execute(args: argparse.Namespace) -> int:
    from ganlib.base.errors import InputError
    from ganlib.render.benchmark import measure

    try:
        batches = [int(part) for part in args.batches.split(",")]
    except ValueError as error:
        raise InputError(f"--batches {args.batches} is not a list of numbers", "write it like 1,4,16") from error
    renderer = open_renderer(args)
    result = measure(renderer, batches=batches, seconds=args.seconds)
    print(f"{renderer.name}: {renderer.spec.resolution} px, {result.gflop_per_image:.2f} GFLOP per picture")
    print(f"{result.device}; convolution peak {result.peak_gflops:.0f} GFLOP/s ({result.dtype})")
    print(f"{'batch':>5}  {'pictures/s':>10}  {'ms/picture':>10}  {'of peak':>7}")
    for row in result.rows:
        share = row.images_per_second * result.gflop_per_image / result.peak_gflops
        print(f"{row.batch:>5}  {row.images_per_second:>10.2f}  {1000 / row.images_per_second:>10.2f}  {share:>7.0%}")
    return 0
