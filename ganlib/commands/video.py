"""`video`: a morph between pictures, streamed into a film of any format."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ganlib.base.errors import InputError
from ganlib.base.options import format_choices
from ganlib.commands.flags import CHECKPOINTS, printable, read_classes, read_options, values_from_flags

if TYPE_CHECKING:
    from ganlib.latents.paths import LatentPath
    from ganlib.latents.recipes import Recipe
    from ganlib.models.checkpoints import Checkpoint
    from ganlib.video import Reaction, RenderJob


def add_flags(parser: argparse.ArgumentParser) -> None:
    from ganlib.video import BANDS, FORMATS, suffix_words

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

    parser.add_argument(
        "--react", action="append", default=[], metavar="NAME:BAND:SIGMAS",
        help=f"a direction, by name or title, follows the sound: {format_choices(BANDS)}; may be given again",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="F.mp4", help=suffix_words(FORMATS))
    parser.add_argument("--estimate", action="store_true", help="say what it will cost, from a trial, and do nothing")
    parser.add_argument("--dry-run", action="store_true", help="check the settings, print the plan, do nothing")


def execute(args: argparse.Namespace) -> int:
    from ganlib.models.checkpoints import find_checkpoint, read_card
    from ganlib.render.renderer import Renderer
    from ganlib.runs import SilentReporter, Stopped, TerminalReporter, format_seconds, signals_ask
    from ganlib.video import estimate, fit_to_track, formats, letter_warnings, own_device, render_video, torchrun_rank

    row = formats.format_of(args.out)
    if row is None or (args.out.is_file() and not args.out.suffix):
        hint = f"end --out in {formats.suffix_words(formats.FORMATS)}"
        raise InputError(f"cannot tell the format of '{args.out}'", hint)
    file = find_checkpoint(args.network, CHECKPOINTS)
    card = read_card(file)
    job = fit_to_track(_job(args, row.name, card, _path(args, card)))
    for words in filter(None, (job.path.class_warning(card.spec), *letter_warnings(job))):
        print(printable(f"warning: {words}"), file=sys.stderr)
    if args.dry_run:
        (width, height), seconds = job.frame_size(card.spec.resolution), job.num_frames / job.fps
        shape = f"{width} px" if width == height else f"{width} × {height} px"
        print(f"{job.num_frames} frames of {shape} at {job.fps:g} per second, {seconds:.2f} s, to {args.out}")
        return 0
    if args.estimate:
        cost = estimate(job, Renderer.open(file, device=job.device))
        print(f"about {format_seconds(cost.seconds)} and {cost.megabytes:.1f} MB for {job.num_frames} frames")
        return 0
    args.out.parent.mkdir(parents=True, exist_ok=True)
    rank, world = torchrun_rank()
    reporter = SilentReporter() if rank else TerminalReporter()
    try:
        with signals_ask(reporter) if isinstance(reporter, TerminalReporter) else nullcontext():
            renderer = Renderer.open(file, device=own_device(job.device))
            film = render_video(job, args.out, renderer=renderer, reporter=reporter, rank=rank, world=world)
    except Stopped:
        raise KeyboardInterrupt("no film was written") from None
    if rank == 0:
        print(film)
    return 0


def _path(args: argparse.Namespace, card: Checkpoint) -> LatentPath:
    """The keyframes that the flags name, and how they are joined."""
    from ganlib.latents.paths import CIRCULAR, Keyframe, LatentPath

    recipes = _swept(args, card, _recipes(args, card))
    way = values_from_flags(LatentPath, args)
    curve = way.get("curve")
    if not way.get("loop", True) and (curve == "circle" or (curve in CIRCULAR and len(recipes) == 1)):
        why = "a circle ends where it begins" if curve == "circle" else "of one keyframe it makes a loop alone"
        else_ = "choose another --curve" if curve == "circle" else "give another keyframe"
        raise InputError(f"--no-loop with --curve {curve}: {why}", f"leave --no-loop out, or {else_}")
    steps = values_from_flags(Keyframe, args)
    return LatentPath(tuple(Keyframe(recipe, **steps) for recipe in recipes), **way).validate()


def _recipes(args: argparse.Namespace, card: Checkpoint) -> list[Recipe]:
    from ganlib.latents.favourites import load_favourites
    from ganlib.latents.recipes import Recipe, label_in_turn, parse_seeds
    from ganlib.models.checkpoints import load_generator
    from ganlib.render.renderer import keep_w_plus
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
    from ganlib.latents.editing import find_direction
    from ganlib.latents.paths import class_path, direction_path, psi_path

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
    return read_options(RenderJob, args, network=str(card.path), path=path, format=kind, reactions=reactions)


def _reaction(text: str, card: Checkpoint) -> Reaction:
    from ganlib.latents.editing import find_direction
    from ganlib.video import Reaction

    name, band, strength = [*text.rsplit(":", 2), "", ""][:3]  # a title may have a colon
    each = find_direction(card.folder, name)
    sigmas = _numbers("--react", strength)[0] if strength else Reaction.strength
    return Reaction(each.name, band or Reaction.band, sigmas, each.first, each.last)


def _numbers(flag: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{flag} {text[:40]}: not numbers", "write them as 0.3,0.7,1") from None
