"""`project`: find a picture in a model's latent space, and tune the model to it."""

from __future__ import annotations

import argparse

from ganlib.commands.flags import curve_reporter, printable, read_options, work_in_terminal


def execute(args: argparse.Namespace) -> int:
    from ganlib.projection import ProjectConfig, project
    from ganlib.projection.figures import summary

    config = read_options(ProjectConfig, args)
    made = work_in_terminal(lambda reporter: project(config, reporter), curve_reporter(config.outdir))
    for row in made:
        print(printable(f"{row.folder}: {summary(row.figures)}"))
        if row.figures["base"]:
            print(f"kept as {row.figures['base']} beside {row.figures['model']}")
        if row.figures["tuned"]:
            print(printable(f"tuned model: {row.figures['tuned']}"))
    return 0
