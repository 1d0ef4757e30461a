"""`directions`: find, import and list directions of a model, and see what they do."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ganlib.base.errors import InputError
from ganlib.commands.flags import printable, values_from_flags, work_in_terminal

STRENGTHS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--there", metavar="SEEDS", help="the direction that leads to these pictures")
    parser.add_argument("--here", metavar="SEEDS", help="… from these (default: the centre of w)")
    parser.add_argument("--name", default="", metavar="NAME", help="what it is called (default: from the seeds)")
    parser.add_argument("--import", dest="file", type=Path, metavar="F", help="read directions from .npz, .npy or .pt")
    parser.add_argument("--list", action="store_true", help="list the directions that are there")
    parser.add_argument("--strips", type=Path, metavar="F.png", help="write a picture with a strip of each direction")


def execute(args: argparse.Namespace) -> int:
    from ganlib.latents.editing import list_directions, read_directions, save_direction
    from ganlib.models.checkpoints import read_card
    from ganlib.render.directions import DirectionsConfig, find_directions

    given = values_from_flags(DirectionsConfig, args)
    path = given["network"]
    card = read_card(path)
    made: list[Any] = []
    if args.here and not args.there:
        raise InputError("--here without --there leads nowhere", "name the pictures to go to with --there")
    if args.there:
        made = [_between(args, path)]
    elif args.file is not None:
        made = read_directions(args.file, card.spec)
        for direction in made:
            save_direction(card.folder, direction)
    elif given.keys() - {"device", "network"} or not (args.list or args.strips):
        config = DirectionsConfig(**given).validate()
        stopped = "directions found so far are kept"
        made = work_in_terminal(lambda reporter: find_directions(config, reporter), stopped=stopped)
    found, damaged = list_directions(card.folder)
    shown = made or found
    for direction in shown:
        safe = "not measured" if direction.safe is None else f"{direction.safe[0]:+.1f} … {direction.safe[1]:+.1f}"
        print(printable(f"{direction.name:<24} safe {safe:<16} {direction.title or direction.about}"))
    if not shown:
        print(f"no directions of {card.name} yet")
    for error in damaged:
        print(printable(f"not usable: {error.message}"))
    if args.strips is not None:
        _write_strips(args.strips, path, [d for d in shown if d.suits(card.spec)], getattr(args, "device", "auto"))
    return 0


def _between(args: argparse.Namespace, path: Path) -> Any:
    """The direction from some seeds to others, measured and saved."""
    from dataclasses import replace

    from ganlib.latents.editing import save_direction
    from ganlib.latents.recipes import Recipe, label_in_turn, parse_seeds
    from ganlib.models.checkpoints import read_card
    from ganlib.render.directions import between, judge, measure_safe
    from ganlib.render.renderer import Renderer

    renderer = Renderer.open(path, device=getattr(args, "device", "auto"))
    kinds = renderer.spec.label_dim
    there, here = (
        renderer.w_plus([Recipe.of_seed(s, label=label_in_turn(s, None, kinds)) for s in parse_seeds(text)])
        if text
        else None
        for text in (args.there, args.here)
    )
    assert there is not None
    name = args.name or f"seeds-{args.there.replace(',', '-')}"[:40]
    direction = between(renderer, there, here, name, method="favourites")
    about = f"from seeds {args.here} to {args.there}" if args.here else f"towards seeds {args.there}"
    direction = replace(direction, about=about, model=read_card(path).digest)
    if getattr(args, "measure", True):
        direction = replace(direction, safe=measure_safe(renderer, direction, judge(path, renderer)))
    save_direction(read_card(path).folder, direction)
    return direction


def _write_strips(dest: Path, path: Path, directions: list[Any], device: str) -> None:
    import numpy as np

    from ganlib.latents.recipes import Recipe, label_in_turn
    from ganlib.media.images import contact_sheet, encode
    from ganlib.render.directions import strip
    from ganlib.render.renderer import Renderer
    from ganlib.runs import write_bytes

    if not directions:
        raise InputError("there is no direction to show", "find some first, with --method pca")
    renderer = Renderer.open(path, device=device)
    first = Recipe.of_seed(0, psi=0.7, label=label_in_turn(0, None, renderer.spec.label_dim))
    w_plus = renderer.w_plus([first])[0]
    rows = [strip(renderer, direction, w_plus, STRENGTHS) for direction in directions]
    write_bytes(dest, encode(contact_sheet(np.concatenate(rows), columns=len(STRENGTHS)), "png"))
    print(f"{dest}: a row for each direction, from {STRENGTHS[0]:+g} to {STRENGTHS[-1]:+g} sigmas")
