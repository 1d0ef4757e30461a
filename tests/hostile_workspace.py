"""A workspace in which every text that a stranger may choose holds Markdown, HTML and formulas."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ganlib import runs
from ganlib.latents.editing import Direction, save_direction
from ganlib.latents.favourites import add_favourite
from ganlib.latents.recipes import Recipe
from ganlib.media.images import contact_sheet, encode
from ganlib.models.checkpoints import save_snapshot
from ganlib.networks import tiny_generator

HOST = "198.51.100.7"  # of the block kept for documentation: nobody answers
# A name that is legal for files, and words without that limit.
NAME = "![x](y) [l](z) `c` :material_x: $q$ <b> **f**"
WORDS = (
    f"![x](http://{HOST}/x.png) <img src=http://{HOST}/y.png> $\\href{{http://{HOST}}}{{a}}$ :material/alarm: "
    f":red[r] :red-background[s] http://{HOST}/z.png `c` **f** [l](http://{HOST})"
)
# What shows that some of them was read as Markdown: these signs without a backslash before them.
SIGNS = (
    "](http",
    "<img",
    "$\\href",
    ":material/alarm:",
    ":red[",
    "`c`",
    "**f**",
    "![x](y)",
    "[l](z)",
    f"http://{HOST}",
)


@dataclass(frozen=True)
class Workspace:
    """Where things are, and what the addresses of the pages may name."""

    root: Path
    models: tuple[str, ...]
    dataset: Path

    @property
    def environment(self) -> dict[str, str]:
        names = {"ATELIER_CHECKPOINTS": "checkpoints", "ATELIER_RUNS": "runs", "ATELIER_DATA": "data"}
        return {name: str(self.root / folder) for name, folder in names.items()} | {
            "GANLIB_CACHE": str(self.root / "cache")
        }

    def addresses(self) -> list[tuple[str, dict[str, str]]]:
        """(page, parameters): every page and view with what is there, and with words in the place of every name."""
        model, runs_root = {"model": self.models[0]}, self.root / "runs"
        everything = model | {name: WORDS for name in ("seeds", "show", "k", "base")}
        found: list[tuple[str, dict[str, str]]] = [
            (page, query) for page in ("gallery", "explore", "morph", "project", "drop", "upscale", "evaluate")
            for query in ({}, model, {"model": WORDS}, everything)
        ]  # fmt: skip
        found += [("compare", model | {"data": str(self.dataset), "view": view})
                  for view in ("sides", "quiz", "copies", "verdicts", "faceoff", "statistics")]  # fmt: skip
        found += [("compare", {"view": "copies", "data": WORDS, "source": WORDS})]
        found += [("models", {"view": view}) for view in ("", "import", "hub", "catalogue", "blend")]
        found += [("models", {"model": str(self.root / "checkpoints" / f"{name}.safetensors")}) for name in self.models]
        found += [("models", {"model": WORDS, "view": WORDS}), ("evaluate", {"data": str(self.dataset)})]
        found += [("datasets", query) for query in (
            {}, {"set": str(self.dataset)}, {"source": str(self.dataset)}, {"set": WORDS}, {"source": WORDS},
        )]  # fmt: skip
        train = next(path.name for path in runs_root.iterdir() if "train" in path.name)
        found += [("train", query) for query in (
            {}, {"data": str(self.dataset)}, {"data": WORDS, "title": WORDS, "preset": WORDS}, {"run": train},
            {"run": WORDS}, {"folder": WORDS}, {"folder": str(runs_root / train)}, {"from": WORDS},
        )]  # fmt: skip
        return found


def make_workspace(root: Path) -> Workspace:
    """Fill a folder: two models, favourites, directions, a set, and jobs of every kind that failed or were stopped."""
    names = (NAME, "b **f**")
    for i, name in enumerate(names):
        path = root / "checkpoints" / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        generator = tiny_generator(seed=i, label_dim=2, resolution=16)
        card = save_snapshot(path, G_ema=generator, title=WORDS, source=WORDS, licence=WORDS, data=WORDS, about=WORDS,
                             classes=[WORDS, WORDS + "2"], metrics={WORDS: 1.0})  # fmt: skip
        add_favourite(card.folder, Recipe(seeds=((1, 1.0),), label=0), WORDS)
        direction = Direction("own-01", torch.ones(generator.spec.w_dim), title=WORDS, about=WORDS, safe=(-2, 2))
        save_direction(card.folder, direction)
    dataset = root / "data" / NAME
    dataset.mkdir(parents=True)
    rng = np.random.default_rng(0)
    files = [f"{NAME} {i}.png" for i in range(12)]
    for file in files:
        (dataset / file).write_bytes(encode(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)))
    labels = [[file, i % 2] for i, file in enumerate(files)]
    words = {name: WORDS for name in ("licence", "credit", "source")}
    (dataset / "dataset.json").write_text(json.dumps({"labels": labels, "classes": [WORDS, WORDS + "2"], **words}))
    _make_jobs(root / "runs", dataset, root / "checkpoints" / f"{NAME}.safetensors")
    return Workspace(root, names, dataset)


VERBS = ("train", "video", "project", "upscale", "metrics", "copies", "statistics", "directions", "import", "download",
         "publish", "prepare", "examine", "nft", "map", "timelapse", "estimate")  # fmt: skip


def _make_jobs(root: Path, dataset: Path, network: Path) -> None:
    config = {name: WORDS for name in ("title", "collection", "repo_id", "entry", "file", "dest", "outdir")}
    config |= {"data": str(dataset), "source": str(dataset), "network": str(network), "kimg": 1.0, "photos": [WORDS]}
    for verb in VERBS:
        for state in ("failed", "stopped"):
            run = runs.create_run(root, verb, WORDS, config, command=f"python -m ganlib {verb} {WORDS}")
            status = {"state": state, "message": WORDS, "hint": WORDS, "done": 1, "total": 2, "artefacts": []}
            runs.write_json(run.path / "status.json", status)
            os.utime(run.path / "job.json", (1, 1))
            if verb == "train":
                pixels = np.zeros((12, 16, 16, 3), np.uint8)
                for sheet in ("reals", "fakes_init", "fakes000005"):
                    (run.path / f"{sheet}.png").write_bytes(encode(contact_sheet(pixels, columns=4, gap=0)))
                runs.write_json(run.path / "training_options.json", {**config, "spec": {"resolution": 16}})
                (run.path / "log.txt").write_text(WORDS)
                record = {name: {"mean": 1.0} for name in ("Progress/kimg", "![x](y)")}
                (run.path / "stats.jsonl").write_text(json.dumps(record) + "\n")
