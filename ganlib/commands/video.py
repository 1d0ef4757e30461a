"""`video`: a morph between seeds, streamed into an MP4 or GIF."""

from __future__ import annotations

import argparse
from pathlib import Path

from ganlib.commands.flags import CHECKPOINTS, add_network_flags, check_label, open_renderer
from ganlib.errors import InputError

EXAMPLES = (
    "python -m ganlib video --network checkpoints/NAME --seeds 85,100,75 --seconds 2 --trunc 0.7 --out morph.mp4",
    "python -m ganlib video --network NAME --seeds 1-6 --curve slerp --no-loop --size 512 --out morph.gif",
)
FORMATS = ("mp4", "gif")
ASPECTS = ("1:1", "9:16", "16:9", "4:5")


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_network_flags(parser)
    parser.add_argument("--seeds", required=True, metavar="LIST", help="keyframes, such as 1,2,3 or 10-15")
    parser.add_argument("--seconds", type=float, default=2.0, help="from a keyframe to the next (default: %(default)s)")
    parser.add_argument("--fps", type=float, default=30.0, help="frames per second (default: %(default)g)")
    parser.add_argument(
        "--loop", action=argparse.BooleanOptionalAction, default=True, help="end where it begins (default: --loop)"
    )
    parser.add_argument(
        "--curve",
        default="cubic",
        choices=("linear", "slerp", "cubic"),
        help="straight lines in w, arcs in z, or a smooth curve in w (default: %(default)s)",
    )
    parser.add_argument("--trunc", type=float, default=1.0, metavar="PSI", help="truncation psi (default: %(default)g)")
    parser.add_argument("--class", dest="label", type=int, metavar="N", help="class, for a model with labels")
    parser.add_argument("--size", type=int, metavar="PX", help="side of the film (default: the model's)")
    parser.add_argument(
        "--aspect", default="1:1", choices=ASPECTS, help="shape of the film, the picture in its middle (%(default)s)"
    )
    parser.add_argument(
        "--background", default="#000000", metavar="COLOUR", help="around the picture: '#rrggbb' or blur (%(default)s)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="F.mp4", help="film to write: .mp4 or .gif")
    parser.add_argument("--dry-run", action="store_true", help="check the settings, print the plan, do nothing")


def execute(args: argparse.Namespace) -> int:
    from ganlib.checkpoints import find_checkpoint, read_card
    from ganlib.latents import Recipe, parse_seeds
    from ganlib.paths import Keyframe, LatentPath
    from ganlib.runs import Stopped, TerminalReporter, signals_ask
    from ganlib.video import RenderJob, render_video

    kind = args.out.suffix.lower().lstrip(".")
    if kind not in FORMATS:
        raise InputError(f"cannot tell the format of '{args.out}'", "end --out in .mp4 or .gif")
    seeds = parse_seeds(args.seeds)
    recipes = [Recipe.of_seed(seed, psi=args.trunc, label=args.label) for seed in seeds]
    path = LatentPath(tuple(Keyframe(r, args.seconds) for r in recipes), curve=args.curve, loop=args.loop)
    file = find_checkpoint(args.network, CHECKPOINTS)
    job = RenderJob(
        network=str(file), path=path, fps=args.fps, size=args.size, format=kind, aspect=args.aspect,
        background=args.background,
    )  # fmt: skip
    job.validate()
    spec = read_card(file).spec
    check_label(args.label, spec.label_dim)
    if args.dry_run:
        (width, height), seconds = job.frame_size(spec.resolution), job.num_frames / args.fps
        shape = f"{width} px" if width == height else f"{width} × {height} px"
        print(f"{job.num_frames} frames of {shape} at {args.fps:g} per second, {seconds:.2f} s, to {args.out}")
        return 0
    args.out.parent.mkdir(parents=True, exist_ok=True)
    reporter = TerminalReporter()
    try:
        with signals_ask(reporter):
            film = render_video(job, args.out, renderer=open_renderer(args), reporter=reporter)
    except Stopped:
        raise KeyboardInterrupt("no film was written") from None
    print(film)
    return 0
