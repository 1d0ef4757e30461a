"""`upscaler`: train an upscaling network on pictures of one's own."""

from __future__ import annotations

import argparse

from ganlib.commands.flags import curve_reporter, read_options, work_in_terminal


def execute(args: argparse.Namespace) -> int:
    from ganlib.superres.training import UpscalerConfig, train

    config = read_options(UpscalerConfig, args)
    path = work_in_terminal(lambda reporter: train(config, reporter), curve_reporter(config.outdir))
    print(path)
    return 0
