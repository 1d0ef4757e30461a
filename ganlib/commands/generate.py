"""`generate`: pictures from seeds, or from a projected latent, as PNG files with their recipe inside."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlib.base.errors import InputError
from ganlib.commands.flags import CHECKPOINTS, add_network_flags, open_renderer, read_label

if TYPE_CHECKING:
    from ganlib.networks.base import GeneratorSpec
    from ganlib.runs import Reporter


GRAIN_HINT = "write style inputs and a factor from 0 to 10, such as 0-4:0,7:2"


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_network_flags(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seeds", metavar="LIST", help="such as 6600-6625 or 1,5,9-12; writes seed6600.png …")
    what.add_argument(
        "--projected-w", type=Path, metavar="F.npz", help="w [N, num_ws, w_dim], or z [N, z_dim]; writes proj00.png …"
    )
    parser.add_argument("--outdir", type=Path, required=True, metavar="DIR", help="where the pictures go")
    parser.add_argument("--trunc", type=float, metavar="PSI", help="truncation psi (default: 1)")
    parser.add_argument(
        "--class", dest="label", metavar="N", help="class, by number or name; without, seeds take the classes in turn"
    )
    parser.add_argument(
        "--noise-mode", default="const", choices=("const", "random", "none"), help="(default: %(default)s)"
    )
    parser.add_argument(
        "--grain", metavar="LIST", help="noise by layer: style inputs and a factor, such as 0-4:0,7:2 (default: 1)"
    )
    parser.add_argument(
        "--translate", type=_two_numbers, metavar="X,Y",
        help="StyleGAN3: move right and down, in picture widths (to the left: --translate=-0.1,0)",
    )  # fmt: skip
    parser.add_argument("--rotate", type=float, metavar="DEG", help="StyleGAN3: turn counter-clockwise, in degrees")
    parser.add_argument("--batch", type=int, metavar="N", help="pictures at once (default: by memory)")


def _two_numbers(text: str) -> tuple[float, float]:
    across, down = map(float, text.split(","))
    return across, down


_two_numbers.__name__ = "pair of numbers"  # argparse names it when the text does not parse


def execute(args: argparse.Namespace) -> int:
    if args.batch is not None and args.batch < 1:
        raise InputError(f"--batch {args.batch} is below 1", "give 1 or more")
    from ganlib.runs import Stopped, TerminalReporter, signals_ask

    reporter = TerminalReporter()
    try:
        with signals_ask(reporter):
            count = (_from_seeds if args.projected_w is None else _from_projection)(args, reporter)
    except Stopped:
        raise KeyboardInterrupt("finished pictures are kept") from None
    print(f"{count} picture{'s' if count != 1 else ''} in {args.outdir}")
    return 0


def _from_seeds(args: argparse.Namespace, reporter: Reporter) -> int:
    from ganlib.latents.recipes import Recipe, embed_text, label_in_turn, parse_seeds
    from ganlib.media.images import encode
    from ganlib.models.checkpoints import find_checkpoint, read_card
    from ganlib.runs import Stopped, write_bytes

    seeds = list(dict.fromkeys(parse_seeds(args.seeds)))
    renderer = open_renderer(args)
    chosen = read_label(args.label, read_card(find_checkpoint(args.network, CHECKPOINTS)))
    psi = 1.0 if args.trunc is None else args.trunc
    place, grain = _place(args, renderer.spec.movable), _grain(args, renderer.spec)
    choices = {"psi": psi, "noise_mode": args.noise_mode, **grain, **place}
    kinds = renderer.spec.label_dim
    recipes = {seed: Recipe.of_seed(seed, label=label_in_turn(seed, chosen, kinds), **choices) for seed in seeds}
    recipes[seeds[0]].validate()
    args.outdir.mkdir(parents=True, exist_ok=True)
    batch = args.batch or renderer.default_batch()
    for start in range(0, len(seeds), batch):
        part = seeds[start : start + batch]
        pictures = renderer.render([recipes[seed] for seed in part], batch=batch)
        for seed, pixels in zip(part, pictures, strict=True):
            if reporter.should_stop():
                raise Stopped
            text = embed_text(recipes[seed], digest=renderer.digest, model=renderer.name, licence=renderer.licence)
            write_bytes(args.outdir / f"seed{seed:04d}.png", encode(pixels, "png", recipe=text), durable=False)
        reporter.progress(start + len(part), len(seeds), f"seed{part[-1]:04d}.png")
    return len(seeds)


def _place(args: argparse.Namespace, is_movable: bool) -> dict[str, Any]:
    """`--translate` and `--rotate` as fields of a recipe. Raises InputError where the model's pictures cannot move."""
    given = {"translate": args.translate, "rotate": args.rotate}
    place = {name: value for name, value in given.items() if value is not None}
    if place and not is_movable:
        flags = " and ".join(f"--{name}" for name in place)
        raise InputError(f"{flags}: pictures of this model cannot be moved", "leave it out, or use a StyleGAN3 model")
    return place


def _grain(args: argparse.Namespace, spec: GeneratorSpec) -> dict[str, Any]:
    """`--grain` as a field of a recipe. Raises InputError where the model has no noise or not these style inputs."""
    from ganlib.latents.recipes import Recipe, noise_strengths_of

    if args.grain is None:
        return {}
    if len(spec.noise_modes) == 1:
        raise InputError("--grain: this model has no noise", "leave it out, or use a StyleGAN2 model")
    try:
        recipe = Recipe.from_query({"grain": args.grain})
    except InputError as error:
        raise InputError(f"--grain {args.grain[:40]!r}: {error.message}", GRAIN_HINT) from error
    if not args.grain.strip():
        raise InputError("--grain names no layers", GRAIN_HINT)
    noise_strengths_of([recipe], spec.num_ws)
    return {"grain": recipe.grain}


def _from_projection(args: argparse.Namespace, reporter: Reporter) -> int:
    from ganlib.media.images import encode
    from ganlib.render.renderer import load_w_plus
    from ganlib.runs import Stopped, write_bytes

    if args.trunc is not None or args.label is not None:
        hint = "leave out --trunc and --class, or give --seeds"
        raise InputError("a projected latent is drawn as it is: it has no psi and no class", hint)
    renderer = open_renderer(args)
    place = _place(args, renderer.spec.movable)
    w_plus = load_w_plus(args.projected_w, renderer.spec, mapping=renderer.mapping, say=reporter.log)
    args.outdir.mkdir(parents=True, exist_ok=True)
    seeds = range(len(w_plus))
    places = [(place.get("translate", (0.0, 0.0)), place.get("rotate", 0.0))] * len(w_plus)
    pictures = renderer.synthesize_batches(
        w_plus, noise_mode=args.noise_mode, noise_seeds=seeds, places=places, batch=args.batch
    )
    done = 0
    for part in pictures:
        for pixels in part:
            if reporter.should_stop():
                raise Stopped
            write_bytes(args.outdir / f"proj{done:02d}.png", encode(pixels, "png"), durable=False)
            done += 1
    return done
