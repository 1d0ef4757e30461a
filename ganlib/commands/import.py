"""`import`: a model file of another tool becomes a checkpoint of this studio; nothing in the file is run."""

from __future__ import annotations

import argparse
from pathlib import Path

from ganlib.commands.flags import CHECKPOINTS, printable

EXAMPLES = (
    "python -m ganlib import network-snapshot-025000.pkl --dest checkpoints/NAME.safetensors",
    'python -m ganlib import stylegan2-ffhq.pt --title "Faces" --licence CC-BY-NC-4.0',
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="NVIDIA's .pkl (StyleGAN2, StyleGAN2-ADA) or rosinality's .pt"
    )
    parser.add_argument(
        "--dest", type=Path, metavar="PATH", help=f"the new model (default: {CHECKPOINTS}/FILE.safetensors)"
    )
    parser.add_argument("--title", default="", metavar="TEXT", help="a name for people (default: the file's name)")
    parser.add_argument("--licence", default="", metavar="TEXT", help="licence of the weights (default: unknown)")
    parser.add_argument("--source", default="", metavar="TEXT", help="where it comes from (default: format and file)")


def execute(args: argparse.Namespace) -> int:
    from ganlib.foreign import check_dest, open_foreign, save_foreign

    dest = args.dest or CHECKPOINTS / f"{args.file.stem}.safetensors"
    check_dest(dest)
    model = open_foreign(args.file)
    dest.parent.mkdir(parents=True, exist_ok=True)
    title = args.title or args.file.stem
    card = save_foreign(model, dest, title=title, licence=args.licence, source=args.source)
    spec = card.spec
    parts = f"{spec.resolution} px, {spec.label_dim or 'no'} classes, {'with' if model.D else 'without'} discriminator"
    print(printable(f"{card.path}: {parts}, {card.bytes / 1e6:.1f} MB"))
    print(printable(f"from: {card.source}"))
    print(f"the file asked for {len(model.asked)} kinds of objects, all harmless; nothing in it was run")
    for note in model.notes:
        print(printable(f"note: {note}"))
    if card.licence == model.licence:
        print("its licence is unknown: see where it comes from before you publish its pictures")
    return 0
