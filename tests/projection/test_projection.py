"""Projection: what it finds, what it writes, stopping and being killed, several pictures, classes, every family."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from ganlib.base.errors import InputError
from ganlib.compute.device import crowding
from ganlib.latents.recipes import Recipe, parse_embedded
from ganlib.media import images
from ganlib.models import checkpoints
from ganlib.networks import tiny_generator
from ganlib.projection import ProjectConfig, estimate_project, project
from ganlib.projection.figures import FILE
from ganlib.projection.job import DELTA
from ganlib.projection.prior import measure_prior
from ganlib.render.renderer import Renderer
from ganlib.runs import SilentReporter, Stopped
from tests.conftest import save_tiny

FRUIT = Path(__file__).resolve().parents[2] / "checkpoints" / "fruit.safetensors"


def write_seed(model: Path, path: Path, seed: int, *, psi: float = 0.7, label: int | None = None) -> Path:
    pixels = Renderer.open(model, device="cpu").render([Recipe.of_seed(seed, psi=psi, label=label)])[0]
    path.write_bytes(images.encode(pixels))
    return path


def options(model: Path, target: Path | tuple[Path, ...], outdir: Path, **changes: object) -> ProjectConfig:
    given = {"steps": 12, "film": False, "distance": "pixels", "device": "cpu", "starts": 8} | changes
    return ProjectConfig(
        network=model, target=target if isinstance(target, tuple) else (target,), outdir=outdir, **given
    )


@pytest.fixture
def model(tmp_path) -> Path:
    """A tiny model in a folder of its own, so that what is kept beside it is this test's."""
    (tmp_path / "models").mkdir()
    return save_tiny(tmp_path / "models" / "tiny.safetensors")


def test_a_picture_of_the_bundled_model_is_found_again(tmp_path):
    """Seed 85 at 160 of the 1000 standard steps, with the distance that needs no download."""
    target = write_seed(FRUIT, tmp_path / "seed85.png", 85)
    config = options(FRUIT, target, tmp_path / "out", steps=160, distance="embedded")
    row = project(config)[0].figures
    assert row["before"]["psnr"] > 24.0 and row["before"]["ssim"] > 0.85
    assert row["distance_name"] == "embedded (fruit-d)"
    assert row["verdict"].startswith("inside")


@pytest.mark.parametrize("space", ["w", "w_plus", "z"])
@pytest.mark.parametrize("arch", ["stylegan2", "dcgan", "progan", "stylegan3"])
def test_every_family_and_space_comes_nearer(tmp_path, arch, space):
    path = tmp_path / "m.safetensors"
    checkpoints.save_snapshot(path, G_ema=tiny_generator(arch))
    target = write_seed(path, tmp_path / "t.png", 3, psi=1.0)
    seen: list[float] = []

    class Watching(SilentReporter):
        def stats(self, record):
            seen.append(record["mean"])

    made = project(options(path, target, tmp_path / "out", space=space, steps=16), Watching())[0]
    assert made.figures["before"]["distance"] <= min(seen) * 1.0001 <= seen[0]
    w = np.load(made.folder / "projected_w.npz")["w"]
    spec = checkpoints.read_card(path).spec
    assert w.shape == (1, spec.num_ws, spec.w_dim) and w.dtype == np.float32
    if space != "w_plus":
        assert np.ptp(w, axis=1).max() == 0
    assert ("z" in made.figures) == (space == "z")


def test_the_latent_that_is_kept_is_the_picture_that_was_written(model, tmp_path):
    """Best step kept: proj.png, projected_w.npz, the recipe inside the picture and the figures are one thing."""
    target = write_seed(model, tmp_path / "t.png", 5)
    made = project(options(model, target, tmp_path / "out", save_as="mine", film=True))[0]
    assert {p.name for p in made.folder.iterdir()} >= {
        *("target.png", "proj.png", "projected_w.npz", "proj.mp4", "figures.json", "preview.png")
    }
    data = (made.folder / "proj.png").read_bytes()
    recipe, digest, _ = parse_embedded(images.read_recipe_text(data))
    assert recipe == Recipe(base="mine") and digest == checkpoints.read_card(model).digest
    again = Renderer.open(model, device="cpu").render([recipe])[0]
    assert np.array_equal(images.decode(data), again)
    assert not list(made.folder.glob("*.state"))


def test_a_name_that_is_taken_by_another_latent_gets_a_number(model, tmp_path):
    first, second = (write_seed(model, tmp_path / f"{seed}.png", seed) for seed in (5, 6))
    names = [
        project(options(model, file, tmp_path / f"out{i}", save_as="mine"))[0].figures["base"]
        for i, file in enumerate((first, second, first))
    ]
    assert names == ["mine", "mine-2", "mine"]


def test_several_pictures_are_found_as_each_alone(model, tmp_path):
    files = tuple(write_seed(model, tmp_path / f"t{seed}.png", seed) for seed in (1, 2, 3))
    together = project(options(model, files, tmp_path / "all", save_as="set"))
    assert [row.folder.name for row in together] == ["t1", "t2", "t3"]
    assert [row.figures["base"] for row in together] == ["set-t1", "set-t2", "set-t3"]
    alone = project(options(model, files[1], tmp_path / "one"))[0]
    assert alone.folder == tmp_path / "one"
    both = [np.load(row.folder / "projected_w.npz")["w"] for row in (together[1], alone)]
    assert np.abs(both[0] - both[1]).max() < 1e-3


def test_a_folder_is_all_its_pictures(model, tmp_path):
    (tmp_path / "in").mkdir()
    for seed in (4, 5):
        write_seed(model, tmp_path / "in" / f"{seed}.png", seed)
    (tmp_path / "in" / "note.txt").write_text("no picture")
    assert [row.name for row in project(options(model, tmp_path / "in", tmp_path / "out", steps=2))] == ["4", "5"]


class StopsAt(SilentReporter):
    """Asks the work to stop after so many looks."""

    def __init__(self, looks: int) -> None:
        self.left = looks

    def stats(self, record):
        self.left -= 1

    def should_stop(self) -> bool:
        return self.left <= 0


@pytest.mark.parametrize("looks", [2, 4, 6])
def test_stopped_and_continued_equals_uninterrupted(model, tmp_path, looks):
    """Also in the middle of tuning (the later stops)."""
    target = write_seed(model, tmp_path / "t.png", 5)
    changes = {"steps": 12, "pti": True, "pti_steps": 30, "space": "w_plus", "noise": True}
    whole = project(options(model, target, tmp_path / "whole", **changes))[0]
    config = options(model, target, tmp_path / "parts", **changes)
    with pytest.raises(Stopped):
        project(config, StopsAt(looks))
    parts = project(config)[0]
    for name in ("projected_w.npz", "proj.png", "tuned.png", "tuned.safetensors"):
        if name != "tuned.safetensors":
            assert (whole.folder / name).read_bytes() == (parts.folder / name).read_bytes()
    cards = [checkpoints.read_card(row.folder / row.figures["tuned"]) for row in (whole, parts)]
    assert cards[0].digest == cards[1].digest
    assert (whole.folder / "figures.json").read_bytes() == (parts.folder / "figures.json").read_bytes()
    assert (whole.folder / DELTA).read_bytes() == (parts.folder / DELTA).read_bytes()


def test_killed_and_continued_equals_uninterrupted(model, tmp_path):
    target = write_seed(model, tmp_path / "t.png", 5)
    command = [sys.executable, "-m", "ganlib", "project", "--network", str(model), "--target", str(target)]
    command += ["--steps", "120", "--distance", "pixels", "--no-film", "--device", "cpu"]
    environment = os.environ | {"PYTHONPATH": str(FRUIT.parents[1])}
    killed = subprocess.Popen([*command, "--outdir", str(tmp_path / "killed")], env=environment, cwd=tmp_path)
    state = tmp_path / "killed" / "search-1.state"
    deadline = time.monotonic() + 120
    while not state.exists() and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert state.exists()
    subprocess.run([*command, "--outdir", str(tmp_path / "killed")], env=environment, cwd=tmp_path, check=True)
    project(options(model, target, tmp_path / "whole", steps=120, starts=64))
    for name in ("projected_w.npz", "proj.png", FILE):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_what_is_finished_is_not_made_again(model, tmp_path):
    target = write_seed(model, tmp_path / "t.png", 5)
    config = options(model, target, tmp_path / "out")
    first = project(config)[0]
    reporter = StopsAt(0)
    assert project(config, reporter)[0].figures == first.figures  # no step that could be stopped
    with pytest.raises(Stopped):
        project(options(model, target, tmp_path / "another", steps=13), reporter)


def test_a_damaged_state_begins_again(model, tmp_path):
    target = write_seed(model, tmp_path / "t.png", 5)
    config = options(model, target, tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "search-1.state").write_bytes(b"torn")
    assert project(config)[0].figures["best_step"] > 0


def test_another_projection_is_not_overwritten(model, tmp_path):
    target = write_seed(model, tmp_path / "t.png", 5)
    project(options(model, target, tmp_path / "out"))
    before = (tmp_path / "out" / "proj.png").read_bytes()
    with pytest.raises(InputError, match="another projection"):
        project(options(model, target, tmp_path / "out", steps=3))
    assert (tmp_path / "out" / "proj.png").read_bytes() == before


def test_tuning_makes_a_model_of_its_own(model, tmp_path):
    target = write_seed(model, tmp_path / "t.png", 5, psi=1.5)
    before = model.read_bytes()
    config = options(model, target, tmp_path / "out", pti=True, pti_steps=25, save_as="mine", film=True)
    row = project(config)[0].figures
    assert row["after"]["distance"] < row["before"]["distance"]
    assert row["after"]["psnr"] > row["before"]["psnr"]
    assert model.read_bytes() == before
    tuned, parent = checkpoints.read_card(model.with_name(row["tuned"])), checkpoints.read_card(model)
    assert tuned.name == "tiny-mine" and tuned.parents[0]["digest"] == parent.digest
    assert tuned.digest != parent.digest and tuned.licence == parent.licence
    recipe, digest, _ = parse_embedded(images.read_recipe_text((tmp_path / "out" / "tuned.png").read_bytes()))
    assert digest == tuned.digest
    shown = Renderer.open(tuned.path, device="cpu").render([recipe])[0]
    assert np.array_equal(images.decode((tmp_path / "out" / "tuned.png").read_bytes()), shown)
    found, damaged = checkpoints.list_checkpoints(model.parent)
    assert {card.name for card in found} == {"tiny", "tiny-mine"} and not damaged


def test_the_class_of_a_picture_is_found(tiny_labelled_model, tmp_path):
    generator = checkpoints.load_generator(tiny_labelled_model)
    for label in (0, 2):
        target = tmp_path / f"{label}.png"
        w = measure_prior(generator, label).w_avg[None, None].expand(1, generator.spec.num_ws, -1)
        target.write_bytes(images.encode(images.to_pixels(generator.synthesis(w))[0]))
        row = project(options(tiny_labelled_model, target, tmp_path / str(label), steps=4))[0].figures
        assert row["label"] == label
    with pytest.raises(InputError, match="class 3 does not exist"):
        project(options(tiny_labelled_model, target, tmp_path / "x", label=3))


@pytest.mark.parametrize("start", ["average", "random", "kmeans"])
def test_starts_are_drawn_from_the_seed(model, tmp_path, start):
    target = write_seed(model, tmp_path / "t.png", 5)
    runs = [
        project(options(model, target, tmp_path / f"{i}", start=start, seed=seed))[0].folder / "projected_w.npz"
        for i, seed in enumerate((1, 1, 2))
    ]
    assert runs[0].read_bytes() == runs[1].read_bytes() != runs[2].read_bytes()


def test_the_job_of_a_page_writes_into_its_run_directory(model, tmp_path):
    from ganlib.commands.run import do_job
    from ganlib.runs import create_run

    target = write_seed(model, tmp_path / "t.png", 5)
    config = options(model, target, tmp_path / "elsewhere", save_as="mine").to_dict()
    run = create_run(tmp_path / "runs", "project", "t", config)
    assert do_job(run) == 0
    assert json.loads((run.path / FILE).read_text())["base"] == "mine"
    assert run.stats and "preview.png" in run.status["artefacts"]
    assert not (tmp_path / "elsewhere").exists()


def test_config_survives_json_and_refuses_nonsense(tmp_path):
    config = options(tmp_path / "m", tmp_path / "t.png", tmp_path, box=(1.0, 2.0, 30.0, 4.5), label=2)
    assert ProjectConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    for changes in (
        {"steps": 0}, {"steps": 10**6}, {"box": (1.0, 2.0)}, {"box": (0.0, 0.0, 2.0, 0.0)}, {"save_as": "../up"},
        {"distance": "fid"}, {"label": -1}, {"target": ()}, {"seed": -1}, {"starts": 0},
    ):  # fmt: skip
        with pytest.raises(InputError):
            ProjectConfig.from_dict(config.to_dict() | {k: list(v) if isinstance(v, tuple) else v
                                                        for k, v in changes.items()})  # fmt: skip


def test_an_estimate_grows_with_the_work(model, tmp_path):
    config = options(model, tmp_path / "t.png", tmp_path, steps=100)
    assert estimate_project(config, tries=1).tuning_step_seconds == 0
    more = estimate_project(options(model, tmp_path / "t.png", tmp_path, steps=100, pti=True), tries=1)
    assert more.seconds > 100 * more.step_seconds > 0 < more.tuning_step_seconds
    assert torch.is_grad_enabled()


def test_an_estimate_counts_pictures_and_what_else_the_machine_does(model, tmp_path, monkeypatch):
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    config = options(model, tmp_path / "t.png", tmp_path, steps=200)
    one, five = estimate_project(config), estimate_project(config, 5)
    assert five.alone_seconds > one.step_seconds * 200 and five.alone_seconds > five.step_seconds * 200
    many = estimate_project(config, 500)
    assert many.alone_seconds > 500 * 200 * many.step_seconds / 16 > 5 * five.alone_seconds / 16
    idle = crowding()
    monkeypatch.setattr("os.getloadavg", lambda: (1000.0, 0.0, 0.0))
    assert many.seconds == pytest.approx(many.alone_seconds * crowding()) and crowding() > 2 * idle
    monkeypatch.delattr("os.getloadavg")
    assert crowding() == 1.0


def test_progress_counts_photographs_a_smaller_last_batch_and_tuning(model, tmp_path, monkeypatch):
    monkeypatch.setattr("ganlib.projection.job._MOST_AT_ONCE", 2)
    rng = np.random.RandomState(0)
    for i in range(3):
        path = tmp_path / "photos" / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(images.encode(rng.randint(0, 255, (32, 32, 3)).astype(np.uint8)))
    told: list[tuple[float, float, str]] = []

    class Listener(SilentReporter):
        def progress(self, done: float, total: float, message: str = "") -> None:
            told.append((done, total, message))

    project(options(model, tmp_path / "photos", tmp_path / "out", steps=10, pti=True, pti_steps=20), Listener())
    assert {total for _, total, _ in told} == {3 * (10 + 20 * 1.3)}
    shares = [done for done, _, _ in told]
    assert shares == sorted(shares) and shares[-1] == told[-1][1]
    first_batch = [done for done, _, message in told if "2 of 3 pictures" in message]
    last_batch = [done for done, _, message in told if "1 of 3 pictures" in message]
    assert first_batch[-1] == 20 and last_batch[0] == pytest.approx(2 * 36) and last_batch[-1] == pytest.approx(82)
