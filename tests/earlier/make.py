"""Write a small workspace with what this edition of the studio makes, as later editions will find it.

    python -m tests.earlier.make tests/earlier/EDITION

Run once, by the edition itself; `test_earlier.py` then holds every later one to it. Refreshing a folder that is there
would defeat it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganlib import runs
from ganlib.dataset import Dataset
from ganlib.latents.editing import Direction, save_direction
from ganlib.latents.favourites import add_favourite
from ganlib.latents.paths import Keyframe, LatentPath
from ganlib.latents.recipes import Edit, Recipe, embed_text
from ganlib.media import images
from ganlib.models.checkpoints import read_card, save_snapshot
from ganlib.networks import tiny_generator
from ganlib.render.renderer import Renderer
from ganlib.video import RenderJob

FAMILIES = ("dcgan", "progan", "stylegan2", "stylegan3")
TRAIN = {
    "data": "data/tiny.zip", "cond": True, "kimg": 0.064, "batch": 8, "snap": 0.032, "tick": 0.016, "cbase": 128,
    "cmax": 8, "z_dim": 16, "w_dim": 16, "aug": "ada", "mirror": True, "workers": 0, "seed": 5,
}  # fmt: skip


def recipes(model: str) -> dict[str, Recipe]:
    """The pictures of a model that are kept, by the names of their files."""
    found = {"seed": Recipe.of_seed(85), "blend": Recipe(seeds=((3, 2.0), (7, 1.0)))}
    if "classes" in model:
        found["class"] = Recipe.of_seed(6, label=1)
    if "gan2" in model or "gan3" in model:
        found["psi"] = Recipe.of_seed(85, psi=0.6, cutoff=3)
        found["mixed"] = Recipe(seeds=((85, 1.0),), mix=((0, 4), (1, 4), (5, 9)))
    if model == "stylegan2":
        found["edited"] = Recipe.of_seed(12, psi=0.8, edits=(Edit("tilt", 1.5), Edit("tilt", -0.5, 2, 3)))
        found["grain"] = Recipe.of_seed(12, grain=((1, 2.0),))
    return found


def main(dest: Path) -> None:
    """Make the workspace in `dest`, which must not exist."""
    dest.mkdir(parents=True)
    with chdir(dest):
        for folder in ("checkpoints", "pictures", "data", "runs"):
            Path(folder).mkdir()
        _make_models()
        _make_pictures()
        _make_set()
        _do_jobs()
        _write_digests()
        _tidy()


def _make_models() -> None:
    for family in FAMILIES:
        for name, options in ((family, {}), (f"{family}-classes", {"label_dim": 2})):
            generator = tiny_generator(family, seed=3, resolution=16, **options)
            path = Path("checkpoints") / f"{name}.safetensors"
            save_snapshot(path, G_ema=generator, title=f"Tiny {name}", kimg=1)
    w_dim = read_card(Path("checkpoints/stylegan2.safetensors")).spec.w_dim
    vector = torch.from_numpy(np.random.RandomState(0).randn(w_dim).astype(np.float32))
    save_direction(Path("checkpoints/stylegan2"), Direction("tilt", vector, title="Tilt & turn"))
    add_favourite(Path("checkpoints/stylegan2"), Recipe.of_seed(85, psi=0.6), "the <best> one")
    add_favourite(Path("checkpoints/stylegan2"), recipes("stylegan2")["mixed"])


def _make_pictures() -> None:
    addresses = {}
    for path in sorted(Path("checkpoints").glob("*.safetensors")):
        renderer = Renderer.open(path, device="cpu")
        for name, recipe in recipes(path.stem).items():
            text = embed_text(recipe, digest=renderer.digest, model=renderer.name, licence="CC0-1.0")
            data = images.encode(renderer.render([recipe])[0], "png", recipe=text)
            Path(f"pictures/{path.stem}-{name}.png").write_bytes(data)
            addresses[f"{path.stem}-{name}"] = recipe.to_query()
    runs.write_json(Path("addresses.json"), addresses)


def _make_set() -> None:
    rng = np.random.RandomState(1)
    with zipfile.ZipFile("data/source.zip", "w") as archive:
        for i in range(16):
            patches = rng.rand(5, 6, 3) * 205  # large ones: pictures that are no copies of each other
            pixels = (patches.repeat(4, axis=0).repeat(4, axis=1) + rng.rand(20, 24, 3) * 50).astype(np.uint8)
            archive.writestr(f"{'dawn' if i % 3 else 'dusk'}/{i:02d}.png", images.encode(pixels))


def _job(verb: str, name: str, config: Mapping[str, Any]) -> Path:
    run = runs.create_run(Path("runs"), verb, name, config)
    subprocess.run([sys.executable, "-m", "ganlib", "run", str(run.path)], check=True, cwd=Path.cwd())
    return run.path


def _do_jobs() -> None:
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    os.environ["GANLIB_CACHE"] = str(Path("cache").resolve())
    os.environ["OMP_NUM_THREADS"] = "1"
    prepare = {"source": "data/source.zip", "dest": "data/tiny.zip", "resolution": 16, "labels": "folder"}
    _job("prepare", "tiny", prepare)
    _job("examine", "source", {"source": "data/source.zip", "outdir": "data/source.examined"})
    train = _job("train", "tiny", TRAIN)
    _job("timelapse", "tiny", {"run": str(train)})
    _job("estimate", "trial step", TRAIN)
    network = "checkpoints/stylegan2.safetensors"
    _job("directions", "sefa", {"network": network, "method": "sefa", "count": 2, "measure": False})
    stops = (Recipe.of_seed(1, psi=0.7), Recipe.of_seed(2, psi=0.7), recipes("stylegan2")["edited"])
    path = LatentPath(tuple(Keyframe(recipe, seconds=0.5) for recipe in stops), loop=True)
    film = RenderJob(network=network, path=path, fps=4, format="png", size=16)
    _job("video", "tiny", film.to_dict())
    target = "pictures/stylegan2-seed.png"
    project = {"network": network, "target": [target], "steps": 10, "space": "w_plus", "save_as": "found"}
    _job("project", "seed", project | {"film": False, "distance": "pixels"})
    _job("metrics", "tiny", {"network": [network], "data": "data/tiny.zip", "metrics": "kid12,fid12", "card": False})
    _job("copies", "tiny", {"data": "data/tiny.zip", "network": network, "seeds": "0-4"})
    _job("statistics", "tiny", {"network": network, "data": "data/tiny.zip", "pictures": 12, "distance": "pixels"})
    _job("upscale", "seed", {"source": [target], "dest": "upscaled.png", "scale": 2.0})
    drop = {"network": network, "seeds": "0-3", "count": 3, "clusters": 2, "collection": "Tiny drop"}
    _job("nft", "Tiny drop", drop)


def _write_digests() -> None:
    cards = [read_card(path) for path in sorted(Path("checkpoints").glob("*.safetensors"))]
    digests = {card.name: card.digest for card in cards} | {"data/tiny.zip": Dataset.open("data/tiny.zip").digest}
    runs.write_json(Path("digests.json"), digests)


def _tidy() -> None:
    """Take away what says when and where this was made, and what only saves time."""
    shutil.rmtree("cache", ignore_errors=True)
    here = str(Path.cwd())
    for path in Path("runs").iterdir():
        if path.name.startswith("."):
            path.unlink()
            continue
        for name in (".reserve", "lock", "queued"):
            (path / name).unlink(missing_ok=True)
        job = json.loads((path / "job.json").read_text("utf-8"))
        runs.write_json(path / "job.json", job | {"cwd": ""})
    for path in Path().rglob("*"):
        if path.suffix in (".json", ".jsonl", ".txt", ".html"):
            path.write_bytes(path.read_bytes().replace(here.encode(), b"/studio"))
    for path in Path("runs").glob("*/timelapse.mp4"):
        path.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
