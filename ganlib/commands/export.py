"""`export`: a model as a file of other tools."""

from __future__ import annotations

import argparse
from pathlib import Path

from ganlib.commands.flags import CHECKPOINTS, printable

FORMATS = ("nvidia", "nvidia-pkl", "nvidia-ada-pkl", "autolume-pkl", "rosinality", "onnx", "torch")
PARTS = ("whole", "mapping", "synthesis")


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--network", required=True, metavar="MODEL", help="a model file, or the name of one in checkpoints/"
    )
    parser.add_argument(
        "--format", required=True, choices=FORMATS,
        help="nvidia: tensors of StyleGAN2-ADA and 3 (.pt); nvidia-pkl: objects that NVIDIA's stylegan3 and its "
        "visualiser open (.pkl), nvidia-ada-pkl and autolume-pkl the same for stylegan2-ada-pytorch and Autolume; "
        "rosinality: stylegan2-pytorch (.pt); onnx: a graph for any runtime (.onnx); torch: for PyTorch alone (.pt2)",
    )  # fmt: skip
    parser.add_argument("--dest", type=Path, required=True, metavar="FILE", help="the new file, of the format's suffix")
    parser.add_argument(
        "--part", default="whole", choices=PARTS,
        help="of onnx and torch: whole is z, psi and label to picture; mapping is z and label to w; synthesis is "
        "w_plus to picture (default: %(default)s)",
    )  # fmt: skip


def execute(args: argparse.Namespace) -> int:
    from ganlib import rights
    from ganlib.checkpoints import find_checkpoint, read_card
    from ganlib.export import check_export, export_model

    card = read_card(find_checkpoint(args.network, CHECKPOINTS))
    row = check_export(card, args.dest, args.format, args.part)
    args.dest.parent.mkdir(parents=True, exist_ok=True)
    notes: list[str] = []
    path = export_model(card.path, args.dest, args.format, part=args.part, report=notes.append)
    print(printable(f"{path}: {row.title}, {path.stat().st_size / 1e6:.1f} MB"))
    for note in notes:
        print(printable(f"note: {note}"))
    print(printable(f"licence: {rights.rights_words(card.licence)}"))
    return 0
