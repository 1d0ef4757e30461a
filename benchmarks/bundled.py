"""Make a bundled model of a training snapshot, and measure it: what stands on its card and in `docs/`.

`publish` writes `checkpoints/NAME.safetensors` in half precision with the words of `bundled.json`, and contact sheets
of seeds 0 to 63, none left out, at psi 1 and 0.7. `measure` compares it with its training set: KID, FID, precision and
recall, those of an untrained twin, of earlier snapshots and of real pictures against real ones, and the copy check of
seeds 0 to 499. The model's own figures go into its card.

`poster` writes the picture on top of the README: a row of each model.

    python benchmarks/bundled.py publish fruit-dcgan runs/00003-train-fruit-64/network-snapshot-000300.safetensors
    python benchmarks/bundled.py measure fruit-dcgan --data data/fruit-64.zip --features squeezenet
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

import numpy as np

from ganlib import networks
from ganlib.compare import CopiesConfig, check_copies
from ganlib.dataset import Dataset
from ganlib.latents.recipes import Recipe, label_in_turn
from ganlib.media import images
from ganlib.metrics import MetricsConfig, measure
from ganlib.models import checkpoints
from ganlib.render.renderer import Renderer
from ganlib.runs import SilentReporter

SEEDS = range(64)
SIDE = 96  # pixels of a picture on a sheet
COLUMNS = 16


@dataclass(frozen=True)
class Words:
    """What the card of a bundled model says beside its figures."""

    title: str
    data: str
    command: str
    """The training, or its last part."""
    about: str
    cover: int = 0
    before: tuple[str, ...] = ()
    """Commands of earlier parts, on smaller pictures."""


COLLECTION = {
    name: Words(**words) for name, words in json.loads(Path(__file__).with_suffix(".json").read_text("utf-8")).items()
}


def publish(name: str, snapshot: Path, **given: str | float) -> None:
    """Write the bundled model and its sheets; what is `given` of the training stands in for what the snapshot lacks."""
    words, card = COLLECTION[name], checkpoints.read_card(snapshot)
    told = {key: value for key, value in {**card.training, **given}.items() if key != "command"}
    before = {f"part {i + 1}": part for i, part in enumerate(words.before)}
    dest = REPOSITORY / "checkpoints" / f"{name}.safetensors"
    made = checkpoints.save_snapshot(
        dest, G_ema=checkpoints.load_generator(snapshot), D=checkpoints.load_discriminator(snapshot), kimg=card.kimg,
        title=words.title, source="trained by Latent Atelier", licence="CC0-1.0", data=words.data, half=True,
        classes=card.classes, training={**before, "command": words.command, **told}, about=words.about,
        cover=words.cover,
    )  # fmt: skip
    renderer = Renderer.open(dest, device="cpu")
    for psi in (1.0, 0.7) if made.spec.truncatable else (1.0,):
        kinds = made.spec.label_dim
        recipes = [Recipe.of_seed(seed, psi=psi, label=label_in_turn(seed, None, kinds)) for seed in SEEDS]
        pixels = images.resize(renderer.render(recipes), SIDE, SIDE)
        sheet = images.contact_sheet(pixels, columns=COLUMNS, gap=2)
        path = REPOSITORY / "docs" / f"{name}-psi{psi:g}.webp"
        path.write_bytes(images.encode(sheet, "webp", quality=88))
        print(path)
    print(f"{dest}: {made.bytes / 1e6:.1f} MB, {made.kimg:g} kimg, {made.digest[:16]}")


def measure_model(name: str, data: Path, features: str, others: list[Path], folder: Path) -> None:
    """Measure an untrained twin, other snapshots, the model, and real pictures; write the model's own into its card."""
    path = REPOSITORY / "checkpoints" / f"{name}.safetensors"
    card = checkpoints.read_card(path)
    twin = folder / f"{name}-untrained.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    checkpoints.save_snapshot(twin, G_ema=networks.build_generator(card.spec), title="untrained")
    count = 2000 if len(Dataset.open(data)) >= 2000 else 1000
    config = MetricsConfig(
        (twin, *others, path), data, metrics=f"kid{count}_full,fid{count}_full,pr{count}_full", features=features,
        mirror=True, real_floor=True, card=False, outdir=folder / name,
    )  # fmt: skip
    own: dict[str, Any] = {}
    for record in measure(config.validate(), SilentReporter()):
        who = "real" if record.get("real_floor") else Path(str(record.get("network") or record["snapshot_pkl"])).stem
        figures = {key: value for key, value in record["results"].items() if isinstance(value, int | float)}
        print(who, *(f"{key} {value:.4g}" for key, value in figures.items()), sep=" | ")
        if who == name:
            own |= figures
    found = check_copies(CopiesConfig(data, network=path, seeds="0-499", outdir=folder / f"{name}-copies"))
    print(found)
    own["copies in seeds 0-499"] = f"{found.summary['copy']}, and {found.summary['close']} close"
    checkpoints.change_card(path, metrics=own)


def poster() -> None:
    """Write a row of twelve pictures of each model, seeds 0 to 11 at psi 0.7: nothing is chosen."""
    rows = []
    for name in COLLECTION:
        renderer = Renderer.open(REPOSITORY / "checkpoints" / f"{name}.safetensors", device="cpu")
        spec = renderer.spec
        psi = 0.7 if spec.truncatable else 1.0
        recipes = [Recipe.of_seed(s, psi=psi, label=label_in_turn(s, None, spec.label_dim)) for s in range(12)]
        rows.append(images.resize(renderer.render(recipes), 128, 128))
    sheet = images.contact_sheet(np.concatenate(rows), columns=12, gap=2)
    path = REPOSITORY / "docs" / "collection.webp"
    path.write_bytes(images.encode(sheet, "webp", quality=88))
    print(path)


def main() -> int:
    """Run one of the three verbs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("publish")
    one.add_argument("name", choices=COLLECTION)
    one.add_argument("snapshot", type=Path)
    one.add_argument("--hardware", default=argparse.SUPPRESS, help="where a snapshot does not tell")
    one.add_argument("--seconds", type=float, default=argparse.SUPPRESS, help="of all parts of the training together")
    two = verbs.add_parser("measure")
    two.add_argument("name", choices=COLLECTION)
    two.add_argument("--data", type=Path, required=True)
    two.add_argument("--features", default="auto")
    two.add_argument("--others", type=Path, nargs="*", default=[])
    two.add_argument("--outdir", type=Path, default=Path("out/bundled"))
    verbs.add_parser("poster")
    args = parser.parse_args()
    if args.verb == "poster":
        poster()
    elif args.verb == "publish":
        given = {key: value for key, value in vars(args).items() if key in ("hardware", "seconds")}
        publish(args.name, args.snapshot, **given)
    else:
        measure_model(args.name, args.data, args.features, args.others, args.outdir)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
