"""The verbs of the command line and the kinds of jobs, one row each; modules are imported when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from ganlib.base.errors import RunError

if TYPE_CHECKING:
    from ganlib.runs import Reporter


@dataclass(frozen=True)
class Verb:
    """What can be asked for in a terminal, as a job, or both."""

    name: str
    """Its module in `ganlib.commands` has `execute(args)`, which returns the exit code, and may have
    `add_flags(parser)` for flags that only a terminal needs."""
    summary: str = ""
    """In the imperative, without a full stop. Empty for a kind of job that has no command."""
    examples: tuple[str, ...] = ()
    """Commands, without the `python -m ganlib` before them."""
    options: str = ""
    """`module:class` of a dataclass whose fields become flags and a job's `config`; of several, spaces between."""
    work: str = ""
    """`module:function` that does a job, called with its config, run directory and reporter."""

    def commands(self) -> list[str]:
        """Return the examples as they are typed."""
        return [line if line.startswith("torchrun") else f"python -m ganlib {line}" for line in self.examples]

    def options_class(self) -> type:
        """Return the dataclass that is a job's `config`, the first that `options` names."""
        return self.options_classes()[0]

    def options_classes(self) -> list[type]:
        """Return the dataclasses that `options` names."""
        return [resolve_name(name) for name in self.options.split()]


_ROWS = (
    Verb(
        "generate",
        "make pictures from seeds or from a projected latent",
        (
            "generate --network checkpoints/NAME --seeds 6600-6625 --trunc 0.7 --outdir out",
            "generate --network NAME --seeds 1,5,9-12 --class 2 --noise-mode none --outdir out",
            "generate --network NAME --seeds 85 --translate 0.1,0.2 --rotate 30 --outdir out",
            "generate --network NAME --projected-w projected_w.npz --outdir out",
        ),
    ),
    Verb(
        "video",
        "make a morph video between seeds",
        (
            "video --network checkpoints/NAME --seeds 85,100,75 --seconds 2 --trunc 0.7 --out morph.mp4",
            "video --network NAME --seeds 1-6 --curve slerp --no-loop --size 512 --out morph.gif",
            "video --network NAME --seeds 85 --curve noise --seconds 8 --even-speed --out drift.webm",
            "video --network NAME --seeds 1-8 --sound song.mp3 --length track --beats --out song.mp4",
        ),
        options="ganlib.video:RenderJob ganlib.latents.paths:LatentPath ganlib.latents.paths:Keyframe",
        work="ganlib.video:run_job",
    ),
    Verb(
        "project",
        "find a picture in a model's latent space, and tune the model to it",
        (
            "project --network fruit --target photo.jpg --outdir out",
            "project --network fruit --target a.png b.png --steps 300 --space w_plus --save-as friends --outdir out",
            "project --network fruit --target photo.jpg --pti --box 40,20,300,0 --outdir out",
        ),
        options="ganlib.projection:ProjectConfig",
        work="ganlib.projection:run_job",
    ),
    Verb(
        "upscale",
        "enlarge pictures and films by a network",
        (
            "upscale --source seed0007.png --dest large.png --scale 4",
            "upscale --source out/ photo.jpg --dest larger --size 3840x2160",
            "upscale --source morph.mp4 --dest morph-4k.mp4 --size 3840x --model realesr-general-x4v3 --download",
            "upscale --list",
        ),
        options="ganlib.superres:UpscaleConfig",
        work="ganlib.superres:run_job",
    ),
    Verb(
        "upscaler",
        "train an upscaling network on pictures of your own",
        (
            "upscaler --data paintings.zip --outdir out",
            "upscaler --data paintings.zip drawings/ --steps 20000 --perceptual 0.03 --outdir out",
        ),
        options="ganlib.superres.training:UpscalerConfig",
        work="ganlib.superres.training:run_job",
    ),
    Verb(
        "prepare",
        "turn a folder or zip of pictures into a training set",
        (
            "prepare --source pictures.zip --dest data/fruit-64.zip --resolution 64",
            "prepare --source paintings --dest data/paintings.zip --labels folder --crop center",
        ),
        options="ganlib.dataset.config:PrepareConfig",
        work="ganlib.dataset:run_job",
    ),
    Verb(
        "examine",
        "find copies, blur, frames and outliers among pictures; a person decides",
        (
            "examine --source pictures.zip --outdir out/examined",
            "examine --source pictures.zip --outdir out/examined --outlier 2.5 --border none",
            "prepare --source pictures.zip --dest data/set.zip --exclude out/examined/exclude.txt",
        ),
        options="ganlib.dataset.checks.config:ExamineConfig",
        work="ganlib.dataset.examine:run_job",
    ),
    Verb(
        "train",
        "train a model on a prepared set",
        (
            "train --data data/fruit-64.zip --outdir runs --preset cpu",
            "train --data data/fruit-64.zip --outdir runs --arch dcgan --kimg 100 --dry-run",
            "train --data mine-64.zip --preset transfer --resume checkpoints/fruit.safetensors",
            "torchrun --nproc_per_node 2 -m ganlib train --data data/fruit-64.zip --outdir runs --batch 32",
            "run runs/00042-train-fruit-64    # continues a run that was stopped",
        ),
        options="ganlib.training:TrainConfig",
        work="ganlib.training:run_job",
    ),
    Verb(
        "metrics",
        "measure how far a model is from a data set",
        (
            "metrics --network fruit --data data/fruit-64.zip --metrics kid1k,pr1k",
            "metrics --network runs/00000-train-fruit-64 --data F.zip --metrics kid5k --real-floor --outdir m",
            "metrics --network F.safetensors --data F.zip --metrics fid50k_full,is50k --fetch --outdir m",
            "torchrun --nproc_per_node 8 -m ganlib metrics --network F.safetensors --data F.zip --metrics "
            "fid50k_full --outdir m",
        ),
        options="ganlib.metrics:MetricsConfig",
        work="ganlib.metrics:run_job",
    ),
    Verb(
        "copies",
        "look for pictures that are copies of training pictures, and report the nearest",
        (
            "copies --network fruit --data data/fruit-64.zip --seeds 0-199 --outdir out/copies",
            "copies --source out/drop --data data/fruit-64.zip --outdir out/copies",
        ),
        options="ganlib.compare:CopiesConfig",
        work="ganlib.compare:run_job",
    ),
    Verb(
        "statistics",
        "how varied, coloured and fine a model's pictures are beside a data set's",
        ("statistics --network fruit --data data/fruit-64.zip --outdir out/statistics",),
        options="ganlib.compare.statistics:StatisticsConfig",
        work="ganlib.compare.statistics:run_job",
    ),
    Verb(
        "directions",
        "find, import and list directions of a model, and see what they do",
        (
            "directions --network fruit --method sefa --layers coarse --count 5",
            "directions --network fruit --there 3,17,40 --here 5,8 --name rounder",
            "directions --network fruit --import smile.npy",
            "directions --network fruit --list --strips strips.png",
        ),
        options="ganlib.render.directions:DirectionsConfig",
        work="ganlib.render.directions:run_job",
    ),
    Verb(
        "nft",
        "make a collection with traits, rarity, metadata and hashes, or check one",
        (
            "nft --network fruit --seeds 0-99 --outdir drop",
            "nft --network fruit --seeds 0-499 --count 100 --floor 0.4 --psi 0.7 --collection Orchard --description "
            "'A {Main colour} fruit, number {number} of {count}' --layout folders --outdir orchard",
            "nft --network fruit --seeds 0-19 --seconds 3 --targets 'Cluster=A:30%' --dry-run",
            "nft --check drop",
        ),
        options="ganlib.nft.config:NftConfig",
        work="ganlib.nft:run_job",
    ),
    Verb(
        "doctor",
        "say in plain words how a training run is doing",
        (
            "doctor runs/00042-train-fruit",
            "doctor training-runs/00000-fruit-auto1 --json    # a run of NVIDIA's tools",
        ),
    ),
    Verb(
        "timelapse",
        "make a film of a training run's samples",
        (
            "timelapse runs/00042-train-fruit --out fruit.mp4",
            "timelapse runs/00042-train-fruit --columns 8 --rows 5 --seconds 20 --no-fade --out fruit.gif",
        ),
        options="ganlib.training.watch.timelapse:TimelapseJob",
        work="ganlib.training.watch.timelapse:run_job",
    ),
    Verb(
        "models",
        "list the models in a folder",
        (
            "models",
            "models --dir runs/00042-train-fruit",
        ),
    ),
    Verb(
        "import",
        "read a model file of another tool, without running anything in it",
        (
            "import network-snapshot-025000.pkl --dest checkpoints/NAME.safetensors",
            'import stylegan2-ffhq.pt --title "Faces" --licence CC-BY-NC-4.0',
        ),
        work="ganlib.models.foreign:run_job",
    ),
    Verb(
        "export",
        "write a model for other tools: NVIDIA's or rosinality's tensors, ONNX, PyTorch's program",
        (
            "export --network NAME --format onnx --dest out/NAME.onnx",
            "export --network NAME --format nvidia --dest out/NAME.pt",
            "export --network NAME --format nvidia-pkl --dest out/NAME.pkl",
            "export --network NAME --format torch --part synthesis --dest out/NAME.pt2",
        ),
    ),
    Verb(
        "blend",
        "make one model of two: their average, or the coarse layers of one with the fine layers of the other",
        (
            "blend --network A --other B --amount 0.5 --dest checkpoints/C.safetensors",
            "blend --network A --other B --swap-at 16 --dest checkpoints/C.safetensors",
        ),
    ),
    Verb(
        "hub",
        "find, download and publish models on the Hugging Face Hub",
        (
            "hub search fruit",
            "hub search --tag stylegan2 --limit 10",
            "hub download me/fruit --file fruit.safetensors",
            "hub publish fruit me/fruit --licence CC0-1.0",
            "hub list",
        ),
    ),
    Verb(
        "catalogue",
        "list well-known public models and their licences, fetch one",
        (
            "catalogue",
            "catalogue --get stylegan3-t-metfaces-1024",
        ),
    ),
    Verb(
        "run",
        "do the job described by a run directory, or continue it",
        ("run runs/00042-train-fruit",),
    ),
    Verb(
        "bench",
        "measure how fast a model makes pictures here",
        ("bench --network checkpoints/NAME",),
    ),
    Verb("estimate", work="ganlib.training.estimate:run_job"),
    Verb("download", work="ganlib.models.hub:run_job"),
    Verb("publish", work="ganlib.model_card:run_job"),
)
VERBS = {row.name: row for row in _ROWS if row.summary}
"""Name → row of what a terminal offers, in the order of `--help`."""
JOBS = {row.name: row for row in _ROWS if row.work}
"""Name → row of the kinds of jobs."""


def worker_of(name: str) -> Callable[[Mapping[str, Any], Path, Reporter], None]:
    """Return the function that does jobs of a kind. Raises RunError for one that this version does not know."""
    if name not in JOBS:
        raise RunError(f"unknown kind of job '{name}'", f"this version knows {', '.join(JOBS)}")
    return resolve_name(JOBS[name].work)
