"""`video`: a morph between pictures, streamed into a film of any format."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ganlib.commands.flags import CHECKPOINTS, add_network_flags, printable, read_classes
from ganlib.errors import InputError

if TYPE_CHECKING:
    from ganlib.checkpoints import Checkpoint
    from ganlib.latents import Recipe
    from ganlib.paths import LatentPath
    from ganlib.video import Reaction, RenderJob

SUFFIXES = {
    ".mp4": "mp4", ".webm": "webm", ".gif": "gif", ".png": "apng", ".apng": "apng", ".webp": "webp", ".zip": "png",
    "": "png",
}  # fmt: skip
ASPECTS = ("1:1", "9:16", "16:9", "4:5")
CURVES = ("linear", "slerp", "cubic", "circle", "noise")
_CORNERS = ("top-left", "top-right", "bottom-left", "bottom-right")
_MOVING = ("all", "coarse", "middle", "fine", "coarse+middle", "middle+fine", "coarse+fine")


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_network_flags(parser)
    key = parser.add_argument_group("keyframes, in this order")
    key.add_argument("--seeds", metavar="LIST", help="such as 1,2,3 or 10-15")
    key.add_argument("--favourites", action="store_true", help="those kept beside the model, oldest first")
    key.add_argument(
        "--projected-w",
        type=Path,
        nargs="+",
        action="extend",
        metavar="FILE",
        help="saved w, any number: .npz, .npy or .pt",
    )
    key.add_argument("--trunc", type=float, metavar="PSI", help="truncation psi of seeds (default: 1)")
    key.add_argument(
        "--class", dest="label", metavar="A,B,…",
        help="class of all seeds, or of each in order, by number or name; without, seeds take the classes in turn",
    )  # fmt: skip
    key.add_argument("--sweep-psi", metavar="A,B,…", help="one picture, at each of these truncations")
    key.add_argument(
        "--sweep-direction", metavar="NAME:A,B,…", help="one picture, at these strengths of a direction (name or title)"
    )
    key.add_argument("--sweep-class", metavar="A,B,…", help="one picture, in each of these classes")

    way = parser.add_argument_group("the way")
    way.add_argument("--seconds", type=float, default=2.0, help="from a keyframe to the next (default: %(default)s)")
    way.add_argument("--fps", type=float, default=30.0, help="frames per second (default: %(default)g)")
    way.add_argument(
        "--loop", action=argparse.BooleanOptionalAction, default=True, help="end where it begins (default: --loop)"
    )
    way.add_argument(
        "--curve", default="cubic", choices=CURVES,
        help="straight lines in w, arcs in z, a smooth curve in w, a closed circle in z, or smooth noise round the "
        "keyframes (default: %(default)s)",
    )  # fmt: skip
    way.add_argument(
        "--easing", default="linear", choices=("linear", "in", "out", "in-out"), help="of each step (%(default)s)"
    )
    way.add_argument("--moving", default="all", choices=_MOVING, help="which styles leave the first picture's")
    way.add_argument("--radius", type=float, default=0.5, help="of noise: radians from the keyframes (%(default)g)")
    way.add_argument("--swings", type=int, default=2, help="of noise: number of harmonics (%(default)s)")
    way.add_argument("--path-seed", type=int, default=0, metavar="N", help="of noise, and of one keyframe's circle")
    way.add_argument("--even-speed", action="store_true", help="the picture changes by the same amount in each frame")

    film = parser.add_argument_group("the film")
    film.add_argument("--size", type=int, metavar="PX", help="side of the picture (default: the model's)")
    film.add_argument("--upscaler", default="", metavar="MODEL", help="enlarge by a network: see `upscale --list`")
    film.add_argument(
        "--aspect", default="1:1", choices=ASPECTS, help="shape of the film, the picture in its middle (%(default)s)"
    )
    film.add_argument(
        "--background", default="#000000", metavar="COLOUR", help="around it: '#rrggbb', blur or mirror (%(default)s)"
    )
    film.add_argument("--codec", default="h264", choices=("h264", "h265"), help="of an .mp4 (%(default)s)")
    film.add_argument("--crf", type=int, default=8, help="quality of .mp4 and .webm, 1 (best) to 51 (%(default)s)")
    film.add_argument("--bitrate", type=float, metavar="MBIT", help="megabits per second, in place of --crf")
    film.add_argument("--size-limit", type=float, metavar="MB", help="a .gif gives up colours, size, frames to keep it")
    film.add_argument("--title", default="", help="words on a card before the film")
    film.add_argument("--title-seconds", type=float, default=2.0, help="for how long (%(default)g)")
    film.add_argument("--caption", default="", help="words at the foot of every frame")
    film.add_argument("--font", default="", metavar="F.ttf", help="of both, before the bundled one and the system's")
    film.add_argument("--logo", default="", metavar="F.png", help="a picture laid into a corner")
    film.add_argument("--logo-corner", default="bottom-right", choices=_CORNERS, help="(default: %(default)s)")
    film.add_argument("--logo-opacity", type=float, default=0.8, help="0 to 1 (default: %(default)g)")

    sound = parser.add_argument_group("sound")
    sound.add_argument("--sound", default="", metavar="FILE", help="a track; any file that ffmpeg reads")
    sound.add_argument("--length", default="film", choices=("film", "track"), help="which decides (%(default)s)")
    sound.add_argument("--fade-seconds", type=float, default=1.0, help="the sound fades out (default: %(default)g)")
    sound.add_argument("--beats", action="store_true", help="move keyframes to the nearest onsets of the track")
    sound.add_argument(
        "--react", action="append", default=[], metavar="NAME:BAND:SIGMAS",
        help="a direction, by name or title, follows bass, middle, treble, loudness or onset; may be given again",
    )  # fmt: skip
    sound.add_argument("--pulse", type=float, default=0.0, metavar="X", help="steps grow by up to X times where loud")

    parser.add_argument(
        "--out", type=Path, required=True, metavar="F.mp4", help=".mp4, .webm, .gif, .png, .webp, .zip, or a new folder"
    )
    parser.add_argument("--estimate", action="store_true", help="say what it will cost, from a trial, and do nothing")
    parser.add_argument("--dry-run", action="store_true", help="check the settings, print the plan, do nothing")


def execute(args: argparse.Namespace) -> int:
    from ganlib.checkpoints import find_checkpoint, read_card
    from ganlib.renderer import Renderer
    from ganlib.runs import SilentReporter, Stopped, TerminalReporter, format_seconds, signals_ask
    from ganlib.video import estimate, letter_warnings, own_device, render_video, settled, torchrun_rank

    kind = SUFFIXES.get(args.out.suffix.lower())
    if kind is None or (kind == "png" and args.out.is_file() and not args.out.suffix):
        raise InputError(f"cannot tell the format of '{args.out}'", "end --out in .mp4, .webm, .gif, .png, .webp, .zip")
    file = find_checkpoint(args.network, CHECKPOINTS)
    card = read_card(file)
    job = settled(_job(args, kind, card, _path(args, card)))
    for words in filter(None, (job.path.class_warning(card.spec), *letter_warnings(job))):
        print(printable(f"warning: {words}"), file=sys.stderr)
    if args.dry_run:
        (width, height), seconds = job.frame_size(card.spec.resolution), job.num_frames / args.fps
        shape = f"{width} px" if width == height else f"{width} × {height} px"
        print(f"{job.num_frames} frames of {shape} at {args.fps:g} per second, {seconds:.2f} s, to {args.out}")
        return 0
    if args.estimate:
        cost = estimate(job, Renderer.open(file, device=args.device))
        print(f"about {format_seconds(cost.seconds)} and {cost.megabytes:.1f} MB for {job.num_frames} frames")
        return 0
    args.out.parent.mkdir(parents=True, exist_ok=True)
    rank, world = torchrun_rank()
    reporter = SilentReporter() if rank else TerminalReporter()
    try:
        with signals_ask(reporter) if isinstance(reporter, TerminalReporter) else nullcontext():
            renderer = Renderer.open(file, device=own_device(args.device))
            film = render_video(job, args.out, renderer=renderer, reporter=reporter, rank=rank, world=world)
    except Stopped:
        raise KeyboardInterrupt("no film was written") from None
    if rank == 0:
        print(film)
    return 0


def _path(args: argparse.Namespace, card: Checkpoint) -> LatentPath:
    """The keyframes that the flags name, and how they are joined."""
    from ganlib.paths import CIRCULAR, Keyframe, LatentPath

    recipes = _swept(args, card, _recipes(args, card))
    if not args.loop and (args.curve == "circle" or (args.curve in CIRCULAR and len(recipes) == 1)):
        is_circle = args.curve == "circle"
        why = "a circle ends where it begins" if is_circle else "of one keyframe it makes a loop alone"
        else_ = "choose another --curve" if is_circle else "give another keyframe"
        raise InputError(f"--no-loop with --curve {args.curve}: {why}", f"leave --no-loop out, or {else_}")
    return LatentPath(
        tuple(Keyframe(recipe, args.seconds, args.easing) for recipe in recipes), curve=args.curve, loop=args.loop,
        moving=args.moving, radius=args.radius, swings=args.swings, seed=args.path_seed,
    )  # fmt: skip


def _recipes(args: argparse.Namespace, card: Checkpoint) -> list[Recipe]:
    from ganlib.checkpoints import load_generator
    from ganlib.favourites import load_favourites
    from ganlib.latents import Recipe, label_in_turn, parse_seeds
    from ganlib.renderer import keep_w_plus
    from ganlib.runs import TerminalReporter

    psi = 1.0 if args.trunc is None else args.trunc
    recipes = []
    if args.seeds is not None:
        seeds, kinds = parse_seeds(args.seeds), card.spec.label_dim
        labels: list[int | None] = [None] if args.label is None else [*read_classes(args.label, card)]
        if len(labels) not in (1, len(seeds)):
            one = f"give --class one; --sweep-class {args.label} draws one picture in each of these classes"
            hint = one if len(seeds) == 1 else "give --class one, or one for each seed"
            raise InputError(f"{len(labels)} classes for {len(seeds)} seed{'s' * (len(seeds) != 1)}", hint)
        labels = labels * len(seeds) if len(labels) == 1 else labels
        recipes += [
            Recipe.of_seed(seed, psi=psi, label=label_in_turn(seed, label, kinds))
            for seed, label in zip(seeds, labels, strict=True)
        ]
    elif args.label is not None:
        raise InputError("--class names the class of --seeds, and there are none", "leave --class out")
    if args.favourites:
        recipes += [each.recipe for each in load_favourites(card.folder)]
    for saved in args.projected_w or ():
        recipes += keep_w_plus(
            saved, card.folder, card.spec,
            mapping=lambda z: load_generator(card.path).mapping(z), say=TerminalReporter().log,
        )  # fmt: skip
    if not recipes:
        raise InputError("there are no keyframes", "give --seeds, --favourites or --projected-w")
    return recipes


def _swept(args: argparse.Namespace, card: Checkpoint, recipes: list[Recipe]) -> list[Recipe]:
    """The keyframes of a sweep of the first picture, or the recipes as they are."""
    from ganlib.editing import find_direction
    from ganlib.paths import class_path, direction_path, psi_path

    first = recipes[0]
    if args.sweep_psi is not None:
        path = psi_path(first, _numbers("--sweep-psi", args.sweep_psi))
    elif args.sweep_direction is not None:
        name, _, values = args.sweep_direction.rpartition(":")
        strengths, each = _numbers("--sweep-direction", values), find_direction(card.folder, name)
        path = direction_path(first, each.name, strengths, first=each.first, last=each.last)
    elif args.sweep_class is not None:
        path = class_path(first, read_classes(args.sweep_class, card))
    else:
        return recipes
    return [keyframe.recipe for keyframe in path.keyframes]


def _job(args: argparse.Namespace, kind: str, card: Checkpoint, path: LatentPath) -> RenderJob:
    from ganlib.video import RenderJob

    reactions = tuple(_reaction(text, card) for text in args.react)
    job = RenderJob(
        network=str(card.path), path=path, fps=args.fps, size=args.size, upscaler=args.upscaler, format=kind,
        crf=args.crf, aspect=args.aspect,
        background=args.background, codec=args.codec, bitrate=args.bitrate, size_limit=args.size_limit,
        even_speed=args.even_speed, sound=args.sound, length=args.length, fade_seconds=args.fade_seconds,
        beats=args.beats, reactions=reactions, pulse=args.pulse, title=args.title, title_seconds=args.title_seconds,
        caption=args.caption, font=args.font, logo=args.logo, logo_corner=args.logo_corner,
        logo_opacity=args.logo_opacity,
    )  # fmt: skip
    job.validate()
    return job


def _reaction(text: str, card: Checkpoint) -> Reaction:
    from ganlib.editing import find_direction
    from ganlib.video import Reaction

    name, band, strength = [*text.rsplit(":", 2), "", ""][:3]  # a title may have a colon
    sigmas = _numbers("--react", strength)[0] if strength else 2.0
    each = find_direction(card.folder, name)
    return Reaction(each.name, band or "bass", sigmas, each.first, each.last)


def _numbers(flag: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{flag} {text[:40]}: not numbers", "write them as 0.3,0.7,1") from None
