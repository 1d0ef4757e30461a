"""`python -m ganlib` ended from outside: signals, closed terminals, readers that go away, other folders, full disks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ganlib.__main__ import main
from ganlib.latents.paths import Keyframe, LatentPath
from ganlib.latents.recipes import Recipe
from ganlib.runs import RunDir, create_run, list_runs
from ganlib.video import RenderJob

PATIENCE_SECONDS = 120.0
# Makes its standard input the terminal that controls it, as a shell's child has one, and becomes the command.
IN_TERMINAL = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
IN_TERMINAL += "os.execv(sys.argv[1], sys.argv[1:])"


def wait_for(condition, process: subprocess.Popen) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert process.poll() is None and time.monotonic() < until, "it ended, or never began"
        time.sleep(0.02)


def command(verb: str, tiny_model: Path, tmp_path: Path) -> list[str]:
    argv = [sys.executable, "-m", "ganlib", verb, "--network", str(tiny_model), "--device", "cpu"]
    if verb == "video":
        return [*argv, "--seeds", "1-9", "--seconds", "300", "--out", str(tmp_path / "out" / "film.mp4")]
    return [*argv, "--seeds", "0-90000", "--batch", "1", "--outdir", str(tmp_path / "out")]


@pytest.mark.parametrize(
    "verb, number", [("video", signal.SIGTERM), ("video", signal.SIGHUP), ("generate", signal.SIGTERM)]
)
def test_a_signal_leaves_no_half_written_file(tiny_model, tmp_path, repository, verb, number):
    (tmp_path / "out").mkdir()
    process = subprocess.Popen(command(verb, tiny_model, tmp_path), cwd=repository, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: any((tmp_path / "out").iterdir()), process)
    process.send_signal(number)
    _, words = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130 and "Traceback" not in words
    left = [path.name for path in (tmp_path / "out").iterdir()]
    if verb == "video":
        assert left == [] and "stopped; no film was written" in words
    else:
        assert left and all(name.startswith("seed") for name in left) and "finished pictures are kept" in words


def test_a_closed_terminal_leaves_no_half_written_film(tiny_model, tmp_path, repository):
    (tmp_path / "out").mkdir()
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", IN_TERMINAL, *command("video", tiny_model, tmp_path)],
        cwd=repository,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    wait_for(lambda: any((tmp_path / "out").iterdir()), process)
    os.close(ours)
    assert process.wait(timeout=PATIENCE_SECONDS) == 130
    assert list((tmp_path / "out").iterdir()) == []


def test_a_reader_that_goes_away_does_not_end_the_film(tiny_model, tmp_path, repository):
    film = tmp_path / "film.mp4"
    argv = f"{sys.executable} -m ganlib video --network {tiny_model} --seeds 1,2 --seconds 0.2 --out {film}"
    script = f"({argv} 2>&1; echo $? > {tmp_path}/code) | true"
    subprocess.run(["bash", "-c", script], cwd=repository, check=True, timeout=PATIENCE_SECONDS)
    assert b"ftyp" in film.read_bytes()[:16]
    assert (tmp_path / "code").read_text() == "0\n"


def test_models_can_be_piped_into_head(tiny_model, tmp_path, repository):
    for i in range(3):
        (tmp_path / f"m{i}.safetensors").write_bytes(tiny_model.read_bytes())
    script = f"({sys.executable} -m ganlib models --dir {tmp_path}; echo $? > {tmp_path}/code) | head -n 0"
    done = subprocess.run(["bash", "-c", script], cwd=repository, capture_output=True, timeout=PATIENCE_SECONDS)
    assert (tmp_path / "code").read_text() == "0\n" and done.stderr == b""


def test_a_pipe_named_like_a_model_is_refused_and_not_waited_for(tmp_path, repository):
    os.mkfifo(tmp_path / "model.safetensors")
    argv = command("generate", tmp_path / "model.safetensors", tmp_path)
    done = subprocess.run(argv, cwd=repository, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 2 and "error: " in done.stderr and "hint: " in done.stderr
    assert not (tmp_path / "out").exists()


# --- jobs -------------------------------------------------------------------------------------------------------------


def film_job(root: Path, network: str) -> RunDir:
    path = LatentPath(tuple(Keyframe(Recipe.of_seed(seed), 0.2) for seed in (1, 2)))
    return create_run(root, "video", "two", RenderJob(network, path, fps=10, device="cpu").to_dict())


def test_a_job_runs_from_another_folder(tiny_model, tmp_path, monkeypatch):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir(), elsewhere.mkdir()
    (home / "pears.safetensors").write_bytes(tiny_model.read_bytes())
    monkeypatch.chdir(home)
    run = film_job(Path("runs"), "pears.safetensors")
    monkeypatch.chdir(elsewhere)
    assert main(["run", "../home/runs/00000-video-two"]) == 0
    assert Path.cwd() == elsewhere and list(elsewhere.iterdir()) == []
    run = RunDir(home / run.path)
    assert run.state == "done" and [film.name for film in run.artefacts] == ["morph.mp4"]


def test_a_job_whose_folder_is_gone_fails_in_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = film_job(tmp_path, "pears.safetensors")
    job = json.loads((run.path / "job.json").read_text())
    (run.path / "job.json").write_text(json.dumps({**job, "cwd": str(tmp_path / "gone")}))
    assert main(["run", str(run.path)]) == 2
    assert run.state == "failed" and "pears" in run.message and run.hint


def test_a_job_of_an_unknown_kind_fails_in_words(tmp_path):
    run = create_run(tmp_path, "sculpt", "x", {})
    assert main(["run", str(run.path)]) == 2
    assert run.state == "failed" and "unknown kind of job 'sculpt'" in run.message and "video" in run.hint


def test_the_lock_is_held_before_anything_heavy_is_imported(tmp_path, repository):
    run = film_job(tmp_path, "nobody")
    script = """if True:
        import sys
        from ganlib import runs
        from ganlib.__main__ import main
        seen = []
        def work(run, execute, **options):
            seen.append("torch" in sys.modules)
            return "done"
        runs.work = work
        assert main(["run", sys.argv[1]]) == 0 and seen == [False], seen
    """
    subprocess.run([sys.executable, "-c", script, str(run.path)], cwd=repository, check=True, timeout=PATIENCE_SECONDS)


def test_a_deeply_nested_job_is_skipped_in_the_list(tmp_path, capsys):
    good = film_job(tmp_path, "nobody")
    deep = tmp_path / "00001-video-deep"
    deep.mkdir()
    (deep / "job.json").write_text('{"verb": "video", "config": ' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}")
    assert [run.path for run in list_runs(tmp_path)] == [good.path]
    assert main(["run", str(deep)]) == 2
    assert "error: " in capsys.readouterr().err
