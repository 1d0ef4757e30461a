"""What an earlier edition of the studio wrote still opens, and shows the same pictures: see make.py."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganlib.__main__ import main
from ganlib.commands import verbs as rows
from ganlib.compare.copies import CopyCheck
from ganlib.compare.statistics import load_statistics
from ganlib.dataset import Dataset
from ganlib.dataset.checks.examination import Examination
from ganlib.latents.editing import list_directions
from ganlib.latents.favourites import load_favourites
from ganlib.latents.recipes import Recipe, parse_embedded
from ganlib.media import images
from ganlib.metrics.results import read_figures
from ganlib.models.checkpoints import read_card
from ganlib.nft import validate_drop
from ganlib.render.renderer import Renderer
from ganlib.runs import RunDir, SilentReporter, list_runs
from ganlib.training import TrainConfig, train
from ganlib.training.watch.folder import TrainingFolder
from ganlib.video import RenderJob

HERE = Path(__file__).parent
EDITIONS = sorted(path.parent for path in HERE.glob("*/digests.json"))
PICTURES = sorted(path for edition in EDITIONS for path in edition.glob("pictures/*.png"))
MODELS = sorted(path for edition in EDITIONS for path in edition.glob("checkpoints/*.safetensors"))
JOBS = sorted(path.parent for edition in EDITIONS for path in edition.glob("runs/*/job.json"))
LEVEL = 1  # grey levels by which another processor's arithmetic may change a picture


def name_of(path: Path) -> str:
    return f"{path.relative_to(HERE).parts[0]}-{path.stem}"


@pytest.fixture(params=EDITIONS, ids=lambda path: path.name)
def workspace(request, tmp_path, monkeypatch) -> Path:
    """A copy of an edition's workspace, as the current folder."""
    shutil.copytree(request.param, tmp_path / "studio")
    monkeypatch.chdir(tmp_path / "studio")
    monkeypatch.setenv("GANLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "studio"


def run_named(workspace: Path, verb: str) -> Path:
    return next((workspace / "runs").glob(f"*-{verb}-*"))


def test_there_is_an_edition_to_hold_to():
    assert len(EDITIONS) >= 1
    assert len(PICTURES) >= 30
    assert len({path.stem.split("-")[0] for path in MODELS}) >= 4


@pytest.mark.parametrize("path", MODELS, ids=name_of)
def test_models_have_the_digest_and_title_they_had(path):
    digests = json.loads((path.parents[1] / "digests.json").read_text("utf-8"))
    card = read_card(path)
    assert (card.digest, card.title) == (digests[path.stem], f"Tiny {path.stem}")


@pytest.mark.parametrize("path", PICTURES, ids=name_of)
def test_a_saved_picture_says_what_it_is_of_and_can_be_made_again(path):
    recipe, digest, model = parse_embedded(images.read_recipe_text(path.read_bytes()) or "")
    name = next(m.stem for m in sorted(MODELS, key=lambda m: -len(m.stem)) if path.stem.startswith(m.stem))
    renderer = Renderer.open(path.parents[1] / "checkpoints" / f"{name}.safetensors", device="cpu")
    assert (renderer.digest, renderer.name) == (digest, model)
    before, now = images.decode(path.read_bytes()).astype(int), renderer.render([recipe])[0].astype(int)
    assert np.abs(now - before).max() <= LEVEL
    query = json.loads((path.parents[1] / "addresses.json").read_text("utf-8"))[path.stem]
    assert Recipe.from_query(query) == recipe
    assert recipe.to_query() == query


def test_favourites_and_directions_are_what_they_were(workspace):
    first, second = load_favourites(workspace / "checkpoints" / "stylegan2")
    written = json.loads((workspace / "checkpoints/stylegan2/favourites.json").read_text("utf-8"))["favourites"]
    assert [favourite.id for favourite in (first, second)] == [row["id"] for row in written]
    assert (first.name, first.recipe) == ("the <best> one", Recipe.of_seed(85, psi=0.6))
    found, problems = list_directions(workspace / "checkpoints" / "stylegan2")
    assert (sorted(d.name for d in found), problems) == (["sefa-01", "sefa-02", "tilt"], [])
    assert next(d for d in found if d.name == "tilt").title == "Tilt & turn"


def test_a_data_set_has_its_classes_and_pictures(workspace):
    prepared = Dataset.open(workspace / "data" / "tiny.zip")
    assert (len(prepared), prepared.resolution, prepared.label_dim) == (16, 16, 2)
    assert prepared.class_names == ["dawn", "dusk"]
    assert prepared.digest == json.loads((workspace / "digests.json").read_text("utf-8"))["data/tiny.zip"]


@pytest.mark.parametrize("path", JOBS, ids=name_of)
def test_a_jobs_settings_mean_what_they_meant(path):
    """Each is read by the verb's own options, and written again has all that it had."""
    job = RunDir.open(path).job
    worker = importlib.import_module(rows.worker_of(job["verb"]).__module__)
    kinds = [kind for kind in vars(worker).values() if isinstance(kind, type) and hasattr(kind, "from_dict")]
    kinds = [kind for kind in kinds if kind.__name__.endswith(("Config", "Job"))]
    assert len(kinds) == 1
    again = kinds[0].from_dict(job["config"]).to_dict()
    lost = {name for name, value in job["config"].items() if json.loads(json.dumps(again.get(name))) != value}
    assert lost == set()


def test_all_jobs_are_listed_as_done(workspace):
    listed = list_runs(workspace / "runs")
    assert {run.path.name for run in listed} == {path.name for path in (workspace / "runs").iterdir()}
    assert {run.state for run in listed} == {"done"}


def test_a_film_asked_for_then_is_made_the_same(workspace):
    run = run_named(workspace, "video")
    with zipfile.ZipFile(run / "morph.zip") as archive:
        before = {name: archive.read(name) for name in archive.namelist() if name.endswith(".png")}
    shutil.rmtree(run)
    shutil.copytree(next(path for path in JOBS if path.name == run.name), run)
    (run / "morph.zip").unlink()
    job = RenderJob.from_dict(RunDir.open(run).job["config"])
    assert len(job.path.keyframes) == 3
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["run", str(run)]) == 0
    with zipfile.ZipFile(run / "morph.zip") as archive:
        now = {name: archive.read(name) for name in archive.namelist() if name.endswith(".png")}
    assert list(now) == list(before)
    for name in before:
        a, b = (images.decode(frames[name]).astype(int) for frames in (before, now))
        assert np.abs(a - b).max() <= LEVEL


def test_a_training_run_is_shown_and_goes_on(workspace):
    path = run_named(workspace, "train")
    folder = TrainingFolder.open(path)
    assert (len(folder.stats()), len(folder.snapshots()), len(folder.sheets())) == (4, 1, 2)
    config = TrainConfig.from_dict({**RunDir.open(path).job["config"], "kimg": 0.08})
    records = []

    class Listener(SilentReporter):
        def stats(self, record: Mapping[str, Any]) -> None:
            records.append(record)

    train(config, path, Listener())
    before = folder.stats()[-1]["Progress/kimg"]["mean"]
    assert [record["Progress/kimg"]["mean"] for record in records] == [pytest.approx(before + 0.016)]  # no new start


def test_a_projection_is_the_picture_it_was(workspace):
    run = run_named(workspace, "project")
    renderer = Renderer.open(workspace / "checkpoints" / "stylegan2.safetensors", device="cpu")
    now = renderer.render([Recipe(base="found")])[0].astype(int)
    assert np.abs(now - images.decode((run / "proj.png").read_bytes()).astype(int)).max() <= LEVEL
    out = workspace / "out"
    latent = ["--projected-w", str(run / "projected_w.npz"), "--outdir", str(out)]
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["generate", "--network", "checkpoints/stylegan2.safetensors", *latent]) == 0
    drawn = images.decode(next(out.glob("*.png")).read_bytes()).astype(int)
    assert np.abs(drawn - now).max() <= LEVEL


def test_results_of_jobs_are_read(workspace):
    names = {figure.name for figure in read_figures(run_named(workspace, "metrics"))}
    assert names == {"kid12_fruit-d", "fid12_fruit-d"}
    assert len(CopyCheck.load(run_named(workspace, "copies")).rows) == 5
    assert load_statistics(run_named(workspace, "statistics"))
    assert validate_drop(run_named(workspace, "nft") / "drop") == []
    assert len(Examination.load(workspace / "data" / "source.examined").pictures) == 16


def test_every_verb_with_a_job_has_one_here():
    """`download`, `publish` and `import` reach for files elsewhere; `upscaler` trains for minutes."""
    verbs = {RunDir.open(path).job["verb"] for path in JOBS}
    assert verbs >= set(rows.JOBS) - {"download", "publish", "import", "upscaler"}
