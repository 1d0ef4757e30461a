"""`python -m ganlib`: what the verbs write, and how they refuse hostile input."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganlib.__main__ import VERBS, build_parser, main
from ganlib.commands.verbs import JOBS, worker_of

RUN_DIRECTORY_FILES = {"job.json", "status.json", "lock"}


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def generate(network: Path, outdir: Path, *flags: str) -> int:
    return main(["generate", "--network", str(network), "--device", "cpu", "--outdir", str(outdir), *flags])


def refused(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> str:
    """The error and hint of a command that must exit with 2 and no traceback."""
    try:
        code = main([str(word) for word in argv])
    except SystemExit as end:
        code = end.code
    text = capsys.readouterr().err
    assert code == 2, text
    assert "error: " in text and "hint: " in text, text
    assert "Traceback" not in text
    return text


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """A zip of small pictures, one of them a text file."""
    path = tmp_path_factory.mktemp("source") / "pictures.zip"
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(6):
            buffer = io.BytesIO()
            noise = rng.integers(0, 255, (5, 5, 3), np.uint8)
            Image.fromarray(noise).resize((40, 32), Image.Resampling.BICUBIC).save(buffer, "PNG")
            archive.writestr(f"picture{i}.png", buffer.getvalue())
        archive.writestr("broken.png", "this is not a picture")
    return path


# --- generate ---------------------------------------------------------------------------------------------------------


def test_generate_names_pictures_by_seed(tiny_model, tmp_path, capsys):
    assert generate(tiny_model, tmp_path / "out", "--seeds", "6600-6602,7", "--trunc", "0.7") == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"seed6600.png", "seed6601.png", "seed6602.png", "seed0007.png"}
    assert "4 pictures" in capsys.readouterr().out


@pytest.mark.parametrize("noise_mode", ["const", "random", "none"])
def test_the_same_seed_twice_is_identical(tiny_model, tmp_path, noise_mode):
    for name in ("a", "b"):
        assert generate(tiny_model, tmp_path / name, "--seeds", "3-5", "--noise-mode", noise_mode) == 0
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_batch_size_does_not_matter(tiny_model, tmp_path):
    for batch in ("1", "3", "16"):
        assert generate(tiny_model, tmp_path / batch, "--seeds", "0-6", "--batch", batch, "--trunc", "0.5") == 0
    for path in (tmp_path / "1").iterdir():
        for batch in ("3", "16"):
            assert np.abs(pixels_of(path) - pixels_of(tmp_path / batch / path.name)).max() <= 1


def test_noise_is_scaled_layer_by_layer(tiny_model, tmp_path, capsys):
    for name, flags in {"off": ["--grain", "0-4:0"], "none": ["--noise-mode", "none"], "on": []}.items():
        assert generate(tiny_model, tmp_path / name, "--seeds", "3", *flags) == 0
    off, none, _ = (pixels_of(tmp_path / name / "seed0003.png") for name in ("off", "none", "on"))
    assert np.abs(off - none).max() <= 1
    for wrong in ("0-99:2", "0-4", "0:-1", "a:b", ""):
        assert generate(tiny_model, tmp_path / "wrong", "--seeds", "3", "--grain", wrong) == 2
    said = capsys.readouterr().err
    assert "style input 99" in said and "--grain 'a:b'" in said and "Open the page" not in said


def test_a_generated_picture_carries_its_recipe(tiny_model, tmp_path):
    from ganlib.latents.recipes import Recipe, parse_embedded
    from ganlib.media.images import read_recipe_text
    from ganlib.models.checkpoints import read_card

    assert generate(tiny_model, tmp_path, "--seeds", "85", "--trunc", "0.7", "--noise-mode", "none") == 0
    recipe, digest, model = parse_embedded(read_recipe_text((tmp_path / "seed0085.png").read_bytes()) or "")
    assert recipe == Recipe.of_seed(85, psi=0.7, noise_mode="none")
    assert (digest, model) == (read_card(tiny_model).digest, "tiny")


def test_classes_change_the_picture_and_must_exist(tiny_labelled_model, tmp_path, capsys):
    for label in ("0", "2"):
        assert generate(tiny_labelled_model, tmp_path / label, "--seeds", "1", "--class", label) == 0
    assert (pixels_of(tmp_path / "0/seed0001.png") != pixels_of(tmp_path / "2/seed0001.png")).any()
    assert generate(tiny_labelled_model, tmp_path / "turn", "--seeds", "0-2") == 0
    assert (pixels_of(tmp_path / "turn/seed0001.png") != pixels_of(tmp_path / "2/seed0001.png")).any()
    for flags in (["--class", "3"], ["--class=-1"], ["--class", "pear"]):
        argv = ["generate", "--network", tiny_labelled_model, "--seeds", "1", "--outdir", tmp_path / "none", *flags]
        assert "classes 0 … 2" in refused(capsys, *argv)


def test_z_in_a_file_gives_the_picture_of_its_seed(tiny_model, tmp_path):
    z = np.random.RandomState(5).randn(1, 32).astype(np.float32)
    np.savez(tmp_path / "z.npz", z=z)
    assert generate(tiny_model, tmp_path / "out", "--projected-w", str(tmp_path / "z.npz")) == 0
    assert generate(tiny_model, tmp_path / "out", "--seeds", "5") == 0
    projected, seed = (pixels_of(tmp_path / "out" / name) for name in ("proj00.png", "seed0005.png"))
    assert np.abs(projected - seed).max() <= 1
    film = ["--curve", "noise", "--seconds", "0.2", "--fps", "5", "--out", str(tmp_path / "film.png")]
    assert main(["video", "--network", str(tiny_model), "--projected-w", str(tmp_path / "z.npz"), *film]) == 0


def test_a_projected_w_gives_the_picture_of_that_w(tiny_model, tmp_path):
    from ganlib.latents.recipes import Recipe
    from ganlib.render.renderer import Renderer

    recipes = [Recipe.of_seed(seed) for seed in (4, 5)]
    np.savez(tmp_path / "w.npz", w=Renderer.open(tiny_model, device="cpu").w_plus(recipes).numpy())
    assert generate(tiny_model, tmp_path / "out", "--projected-w", str(tmp_path / "w.npz")) == 0
    assert generate(tiny_model, tmp_path / "out", "--seeds", "4,5") == 0
    for projected, seed in (("proj00.png", "seed0004.png"), ("proj01.png", "seed0005.png")):
        assert np.abs(pixels_of(tmp_path / "out" / projected) - pixels_of(tmp_path / "out" / seed)).max() <= 1


@pytest.mark.parametrize(
    "flags",
    [
        ["--seeds", "-1"],
        ["--seeds", "x"],
        ["--seeds", ""],
        ["--seeds", "6625-6600"],
        ["--seeds", "4294967296"],
        ["--seeds", "0-9999999999"],
        ["--seeds", "1", "--trunc", "nan"],
        ["--seeds", "1", "--trunc", "inf"],
        ["--seeds", "1", "--trunc", "much"],
        ["--seeds", "1", "--batch", "0"],
        ["--seeds", "1", "--class", "3"],
        ["--seeds", "1", "--class", "-1"],
        ["--seeds", "1", "--noise-mode", "loud"],
        ["--seeds", "1", "--projected-w", "w.npz"],
        ["--projected-w", "missing.npz"],
        ["--projected-w", "missing.npz", "--trunc", "0.5"],
        ["--seeds", "1", "--device", "quantum"],
        ["--seeds", "1", "--unknown"],
        ["--seed", "1"],
        [],
    ],
    ids=" ".join,
)
def test_generate_refuses_impossible_flags(tiny_model, tmp_path, capsys, monkeypatch, flags):
    monkeypatch.chdir(tmp_path)
    refused(capsys, "generate", "--network", tiny_model, "--outdir", tmp_path / "out", *flags)
    assert not list(tmp_path.rglob("*.png"))


def test_an_unknown_network_lists_the_available_ones(tiny_model, tmp_path, capsys, monkeypatch):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "pears.safetensors").write_bytes(tiny_model.read_bytes())
    monkeypatch.chdir(tmp_path)
    text = refused(capsys, "generate", "--network", "apples", "--seeds", "1", "--outdir", "out")
    assert "apples" in text and "pears" in text
    assert generate(Path("pears"), Path("out"), "--seeds", "1") == 0


@pytest.mark.parametrize("size", [0, 7, 100, -1])
def test_a_truncated_checkpoint_is_refused(tiny_model, tmp_path, capsys, size):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(tiny_model.read_bytes()[:size])
    text = refused(capsys, "generate", "--network", broken, "--seeds", "1", "--outdir", tmp_path / "out")
    assert "broken" in text


def test_an_outdir_that_is_a_file_is_refused(tiny_model, tmp_path, capsys):
    (tmp_path / "out").write_text("a file")
    refused(capsys, "generate", "--network", tiny_model, "--seeds", "1", "--outdir", tmp_path / "out")


# --- video ------------------------------------------------------------------------------------------------------------


def test_video_writes_a_film(tiny_model, tmp_path, capsys):
    argv = f"video --network {tiny_model} --seeds 1,2,3 --seconds 0.2 --fps 10 --out {tmp_path}/m.mp4".split()
    assert main([*argv, "--dry-run"]) == 0
    assert "6 frames of 16 px" in capsys.readouterr().out
    assert main([*argv, "--dry-run", "--aspect", "9:16", "--background", "blur"]) == 0
    assert "6 frames of 16 × 30 px" in capsys.readouterr().out
    assert not (tmp_path / "m.mp4").exists()
    assert main(argv) == 0
    assert b"ftyp" in (tmp_path / "m.mp4").read_bytes()[:16]
    assert [path.name for path in tmp_path.iterdir()] == ["m.mp4"]


@pytest.mark.parametrize(
    "flags",
    [
        ["--seeds", "1,2", "--out", "m.avi"],
        ["--seeds", "1,2", "--out", "m.mp4", "--fps", "0"],
        ["--seeds", "1,2", "--out", "m.mp4", "--seconds", "nan"],
        ["--seeds", "1,2", "--out", "m.mp4", "--seconds", "-1"],
        ["--seeds", "1,2", "--out", "m.mp4", "--trunc", "nan"],
        ["--seeds", "1,2", "--out", "m.mp4", "--size", "-4"],
        ["--seeds", "1,2", "--out", "m.mp4", "--fps", "nan"],
        ["--seeds", "1,2", "--out", "m.mp4", "--fps", "fast"],
        ["--seeds", "1,2", "--out", "m.mp4", "--aspect", "2:1"],
        ["--seeds", "1,2", "--out", "m.mp4", "--background", "red"],
        ["--seeds", "1,2", "--out", "m.mp4", "--curve", "zigzag"],
        ["--seeds", "2-1", "--out", "m.mp4"],
    ],
    ids=" ".join,
)
def test_video_refuses_impossible_flags(tiny_model, tmp_path, capsys, monkeypatch, flags):
    monkeypatch.chdir(tmp_path)
    refused(capsys, "video", "--network", tiny_model, *flags)
    assert list(tmp_path.iterdir()) == []


# --- prepare, train, run ----------------------------------------------------------------------------------------------


def test_prepare_then_train_then_generate(pictures, tmp_path, capsys):
    data, outdir = tmp_path / "data.zip", tmp_path / "runs"
    argv = ["prepare", "--source", str(pictures), "--dest", str(data), "--resolution", "16"]
    assert main([*argv, "--dry-run"]) == 0
    assert not data.exists()
    capsys.readouterr()
    assert main(argv) == 0
    captured = capsys.readouterr()
    assert "broken.png" in captured.out + captured.err

    tiny = ["--batch", "4", "--kimg", "0.008", "--snap", "0.008", "--cbase", "256", "--cmax", "8", "--device", "cpu"]
    train = ["train", "--data", str(data), "--outdir", str(outdir), *tiny, "--z-dim", "8", "--w-dim", "8"]
    assert main([*train, "--dry-run"]) == 0
    assert '"batch": 4' in capsys.readouterr().out
    assert not outdir.exists()
    assert main(train) == 0
    run = next(outdir.glob("00000-train-*"))
    assert {path.name for path in run.iterdir()} >= RUN_DIRECTORY_FILES
    snapshot = next(run.glob("*.safetensors"))
    assert generate(snapshot, tmp_path / "out", "--seeds", "0") == 0
    assert main(["run", str(run)]) == 0


def test_a_job_runs_from_its_directory_alone(tiny_model, tmp_path):
    from ganlib.latents.paths import Keyframe, LatentPath
    from ganlib.latents.recipes import Recipe
    from ganlib.runs import create_run
    from ganlib.video import RenderJob

    path = LatentPath(tuple(Keyframe(Recipe.of_seed(seed), 0.2) for seed in (1, 2)))
    run = create_run(tmp_path, "video", "two", RenderJob(network=str(tiny_model), path=path, fps=10).to_dict())
    assert main(["run", str(run.path)]) == 0
    assert run.state == "done"
    assert [film.suffix for film in run.artefacts] == [".mp4"]


@pytest.mark.parametrize("verb", sorted(JOBS))
def test_every_kind_of_job_has_a_worker(verb):
    assert callable(worker_of(verb))


def test_a_job_of_an_unknown_kind_is_refused(tmp_path, capsys):
    (tmp_path / "job.json").write_text(json.dumps({"verb": "rm -rf", "name": "x", "config": {}}))
    assert "unknown kind of job" in refused(capsys, "run", tmp_path)
    refused(capsys, "run", tmp_path / "missing")


def test_empty_and_foreign_sources_are_refused(tmp_path, capsys):
    empty, text, fake = tmp_path / "empty.zip", tmp_path / "text", tmp_path / "fake.zip"
    empty.write_bytes(b"")
    fake.write_bytes(b"PK\x03\x04 and nothing else")
    text.mkdir()
    (text / "picture.png").write_text("this is not a picture")
    for source in (empty, fake, text, tmp_path / "missing"):
        refused(capsys, "prepare", "--source", source, "--dest", tmp_path / "out.zip", "--resolution", "16")
        assert not (tmp_path / "out.zip").exists()
    for data in (empty, fake, text, tmp_path / "missing"):
        refused(capsys, "train", "--data", data, "--outdir", tmp_path / "runs")
        assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("flags", [["--batch", "0"], ["--kimg", "nan"], ["--gamma", "-1"], ["--resume", "nowhere"]])
def test_train_refuses_impossible_settings(tmp_path, capsys, flags):
    refused(capsys, "train", "--data", tmp_path / "missing.zip", "--outdir", tmp_path / "runs", *flags)


# --- models, bench, the dispatcher ------------------------------------------------------------------------------------


def test_models_lists_good_files_and_names_bad_ones(tiny_model, tmp_path, capsys):
    (tmp_path / "good.safetensors").write_bytes(tiny_model.read_bytes())
    (tmp_path / "bad.safetensors").write_bytes(tiny_model.read_bytes()[:-9])
    assert main(["models", "--dir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "good" in out and "CC0" in out
    assert "not usable: bad.safetensors is truncated" in out
    refused(capsys, "models", "--dir", tmp_path / "missing")


def test_models_shows_what_a_terminal_would_obey(tiny_model, tmp_path, capsys):
    from ganlib.models.checkpoints import save_snapshot
    from ganlib.networks import tiny_generator

    evil = "\x1b]0;owned\x07\x1b[31m\nrow\u202e" + "x" * 5000
    save_snapshot(tmp_path / "evil.safetensors", G_ema=tiny_generator(), title=evil, licence="\rCC0\x9b")
    (tmp_path / "\x1b[2J.safetensors").write_text("no model")
    assert main(["models", "--dir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert all(c.isprintable() or c == "\n" for c in out) and len(out.splitlines()) == 3
    assert r"\x1b]0;owned\x07" in out and r"\rCC0\x9b" in out and max(map(len, out.splitlines())) < 250
    assert r"\x1b[2J" in refused(capsys, "models", "--dir", "\x1b[2J")


def test_bench_prints_one_line_for_each_batch(tiny_model, capsys):
    argv = ["bench", "--network", str(tiny_model), "--device", "cpu", "--batches", "1,2", "--seconds", "0.02"]
    assert main(argv) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[-2:]] == ["1", "2"]
    assert all(line.endswith("%") for line in lines[-2:])


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_shows_an_example(verb, capsys):
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    assert end.value.code == 0
    assert f"python -m ganlib {verb} " in capsys.readouterr().out.split("examples:")[1] + " "


def test_examples_parse():
    import shlex

    for row in VERBS.values():
        for example in row.commands():
            words = shlex.split(example, comments=True)
            words = words[words.index("ganlib") - 2 :]  # after `python` or `torchrun --nproc_per_node 2`
            assert words[1:3] == ["-m", "ganlib"]
            build_parser(words[3]).parse_args(words[3:])


def test_an_unknown_verb_lists_the_known_ones(capsys):
    assert "generate" in refused(capsys, "paint")
    refused(capsys)


def test_an_interrupt_is_tidy(tiny_model, tmp_path, capsys, monkeypatch):
    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ganlib.render.renderer.Renderer.render", interrupted)
    assert generate(tiny_model, tmp_path / "out", "--seeds", "1-3") == 130
    assert "stopped" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_help_answers_before_torch_is_imported(repository):
    script = "import sys\nfrom ganlib.__main__ import main\ntry: main(['generate', '--help'])\n"
    script += "except SystemExit: pass\nassert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=repository, check=True, capture_output=True)


def test_the_module_runs_as_a_program(tiny_model, tmp_path, repository):
    command = [sys.executable, "-m", "ganlib", "generate", "--network", tiny_model, "--outdir", tmp_path / "out"]
    done = subprocess.run([*command, "--seeds", "1"], cwd=repository, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"1 picture in {tmp_path / 'out'}\n")
    bad = subprocess.run([*command, "--seeds", "2-1"], cwd=repository, capture_output=True, text=True)
    assert bad.returncode == 2
    assert [line.split(":")[0] for line in bad.stderr.splitlines()] == ["error", "hint"]
