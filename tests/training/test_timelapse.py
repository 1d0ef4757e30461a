"""Timelapses and the directory they are made from: our files, NVIDIA's files, and files that are neither."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from ganlib.__main__ import main
from ganlib.base import filesystem
from ganlib.base.errors import DataError, GanlibError, InputError, RunError
from ganlib.media.images import contact_sheet, decode, encode
from ganlib.metrics.job import find_networks
from ganlib.runs import RunDir, SilentReporter, Stopped, create_run, work
from ganlib.training.watch.folder import (
    TrainingFolder,
    cut,
    keep_snapshot,
    list_training,
    look_at_data,
    mean_of,
    sheet_part,
)
from ganlib.training.watch.timelapse import Reel, TimelapseJob, make_timelapse, run_job

QUIET = SilentReporter()
SHEETS = {"fakes_init.png": 20, "fakes000004.png": 120, "fakes000010.png": 220}


def sheet(value: int, *, side: int = 16, columns: int = 4, rows: int = 3) -> bytes:
    """Picture i of a sheet has the grey value `value + i`."""
    pictures = np.stack([np.full((side, side, 3), value + i, np.uint8) for i in range(columns * rows)])
    return encode(contact_sheet(pictures, columns=columns, gap=0))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "00003-train-grey"
    folder.mkdir()
    (folder / "training_options.json").write_text(json.dumps({"kimg": 20, "spec": {"resolution": 16}}))
    for name, value in SHEETS.items():
        (folder / name).write_bytes(sheet(value))
    return folder


def decoded(path: Path, width: int, height: int) -> np.ndarray:
    """Every frame of a film, float `[n, height, width, 3]`."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(path), "-fps_mode", "passthrough"]
    raw = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3).astype(float)


@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_the_film_goes_from_the_first_sheet_to_the_last(run, tmp_path, kind):
    job = TimelapseJob(str(run), kind, seconds=2, hold=0.5, fps=10, columns=2, rows=2, width=128, caption=False)
    dest = make_timelapse(job, tmp_path / f"film.{kind}", QUIET)
    shown = decoded(dest, 128, 128)
    assert len(shown) == job.num_frames == 25
    greys = shown[:, 20, 20, 0]
    assert np.abs(greys[[0, 24]] - [20, 220]).max() < 4
    assert (np.diff(greys) > -4).all(), "it never goes back"
    assert np.abs(shown[0, 20, 84].mean() - 21) < 4 and np.abs(shown[0, 84, 20].mean() - 22) < 4, "two by two"


def test_sheets_fade_or_follow_hard(run):
    def greys(**options: bool) -> set[int]:
        job = TimelapseJob(str(run), seconds=4, hold=0, fps=10, columns=1, rows=1, width=32, caption=False, **options)
        return {int(frame[8, 8, 0]) for batch in Reel(job).frames() for frame in batch}

    assert greys(fade=False) == {20, 120, 220}
    assert len(greys(fade=True)) > 15


def test_the_kimg_stands_in_the_corner(run):
    job = TimelapseJob(str(run), columns=4, rows=3, width=256)
    first = next(Reel(job).frames())[0]
    plain = next(Reel(TimelapseJob(str(run), columns=4, rows=3, width=256, caption=False)).frames())[0]
    differs = np.argwhere((first != plain).any(axis=2))
    assert len(differs) and differs[:, 0].min() > first.shape[0] * 0.7 and differs[:, 1].max() < first.shape[1] * 0.6
    assert first[differs[:, 0], differs[:, 1]].max() > 200, "light letters on dark"


@pytest.mark.parametrize("columns", [1, 3, 5, 32])
def test_sides_are_even_and_pictures_whole(run, columns):
    reel = Reel(TimelapseJob(str(run), columns=columns, rows=1, width=51))
    assert all(side % 2 == 0 for side in reel.size)
    assert reel.count == min(columns, 12) and reel.picture(reel.sheets[0]).shape == (*reel.size[::-1], 3)


def test_a_run_from_the_weights_of_a_model_does_not_begin_untrained(run):
    options = json.loads((run / "training_options.json").read_text())
    (run / "training_options.json").write_text(json.dumps(options | {"resume": "fruit.safetensors"}))
    assert Reel(TimelapseJob(str(run))).sheets[0].words == "at the start"


def test_growing_runs_are_shown_at_one_size(run):
    (run / "fakes000002-008x008-faded.png").write_bytes(sheet(60))
    (run / "fakes000002-008x008-tuned.png").write_bytes(sheet(90))
    reel = Reel(TimelapseJob(str(run), columns=4, rows=3, width=256))
    words = [sheet.words for sheet in reel.sheets]
    assert words == ["untrained", "2 kimg, 8 px, faded in", "2 kimg, 8 px, tuned", "4 kimg", "10 kimg"]
    assert [int(reel.picture(sheet)[5, 70, 0]) for sheet in reel.sheets] == [21, 61, 91, 121, 221]


def test_a_stop_leaves_no_file(run, tmp_path):
    class Stopping(SilentReporter):
        def should_stop(self) -> bool:
            return True

    with pytest.raises(Stopped):
        make_timelapse(TimelapseJob(str(run), width=64), tmp_path / "film.mp4", Stopping())
    assert [path.name for path in tmp_path.iterdir()] == [run.name]


def test_a_job_of_the_verb_makes_the_film(run, tmp_path):
    config = TimelapseJob(str(run), "gif", seconds=1, hold=0, fps=5, width=64).to_dict()
    job = create_run(tmp_path / "jobs", "timelapse", "grey", config)
    assert work(job, run_job, echo=QUIET) == "done"
    assert [path.name for path in RunDir(job.path).artefacts] == ["timelapse.gif"]


def test_the_command_line_makes_films_and_speaks_as_the_doctor(run, tmp_path, capsys):
    options = ["--seconds", "1", "--fps", "5", "--width", "64", "--out"]
    assert main(["timelapse", str(run), *options, str(tmp_path / "f.mp4")]) == 0
    assert (tmp_path / "f.mp4").stat().st_size > 1000
    assert main(["timelapse", str(run), "--out", "f.txt"]) == 2
    assert main(["doctor", str(run)]) == 0
    assert "Too early to judge" in capsys.readouterr().out
    assert main(["doctor", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["kind"] == "early"
    assert main(["doctor", str(tmp_path / "nothing")]) == 2
    assert "is no training run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"run": ""}, "no run"),
        ({"format": "avi"}, "format = 'avi'"),
        ({"seconds": 0}, "seconds = 0"),
        ({"seconds": float("nan")}, "seconds = nan"),
        ({"columns": 2.5}, "columns = 2.5"),
        ({"rows": True}, "rows = True"),
        ({"width": 10**6}, "width"),
        ({"format": "gif", "fps": 60}, "from 1 to 50"),
    ],
)
def test_odd_settings_are_named(run, options, words):
    with pytest.raises(InputError) as error:
        TimelapseJob.from_dict({"run": str(run), **options})
    assert words in error.value.message + error.value.hint
    with pytest.raises(InputError):
        TimelapseJob.from_dict({"colour": 1})


def test_too_few_damaged_or_foreign_sheets_are_named(run, tmp_path):
    (run / "fakes000010.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 50)
    with pytest.raises(GanlibError, match=r"fakes000010\.png"):
        Reel(TimelapseJob(str(run)))
    (run / "fakes000010.png").unlink()
    (run / "fakes000004.png").unlink()
    with pytest.raises(RunError, match="has 1 sheets of samples: no film yet"):
        Reel(TimelapseJob(str(run)))
    with pytest.raises(RunError, match="holds no picture"):
        cut(np.zeros((8, 8, 3), np.uint8), 16, 4)
    (run / "training_options.json").unlink()
    with pytest.raises(RunError, match="does not say how large"):
        TrainingFolder(run).tile(run / "fakes_init.png")


# --- the directory ----------------------------------------------------------------------------------------------------


def tick(kimg: float, **values: float) -> str:
    means = {"Progress/kimg": kimg, **{name.replace("__", "/"): value for name, value in values.items()}}
    return json.dumps({name: {"num": 1, "mean": value, "std": 0} for name, value in means.items()}) + "\n"


def test_what_a_resumed_run_did_again_counts_once(run):
    lines = [tick(1), tick(2), tick(3, Loss__G__loss=9), "{torn\n", tick(2.5), tick(3, Loss__G__loss=1), "[]\n", "{}\n"]
    (run / "stats.jsonl").write_text("".join(lines))
    records = TrainingFolder(run).stats()
    assert [mean_of(record, "Progress/kimg") for record in records] == [1, 2, 2.5, 3]
    assert mean_of(records[-1], "Loss/G/loss") == 1
    assert mean_of(records[-1], "Loss/D/loss") is None


def test_a_run_of_nvidias_tools_is_read_under_our_names(tmp_path):
    folder = tmp_path / "00007-fruit-mirror-auto1"
    folder.mkdir()
    data = {"path": "fruit.zip", "max_size": 1234, "xflip": True, "resolution": 16, "use_labels": False}
    options = {"total_kimg": 25000, "batch_size": 32, "training_set_kwargs": data, "ada_target": 0.6}
    (folder / "training_options.json").write_text(json.dumps(options))
    (folder / "stats.jsonl").write_text(tick(0) + tick(4))
    (folder / "network-snapshot-000004.pkl").write_bytes(b"")
    (folder / "fakes000004.jpg").write_bytes(sheet(50))
    record = {"results": {"fid50k_full": 12.5}, "metric": "fid50k_full", "snapshot_pkl": "network-snapshot-000004.pkl"}
    (folder / "metric-fid50k_full.jsonl").write_text(json.dumps(record) + "\n{torn\n")
    (found,) = list_training(tmp_path)
    assert not found.is_ours and found.path == folder
    assert {name: found.config[name] for name in ("kimg", "num_images", "mirror", "resolution")} == {
        "kimg": 25000, "num_images": 1234, "mirror": True, "resolution": 16,
    }  # fmt: skip
    assert [snapshot.kimg for snapshot in found.snapshots()] == [4]
    assert found.metrics() == {"fid50k_full": [record]}
    assert [sheet.kimg for sheet in found.sheets()] == [4] and found.tile(found.sheets()[0].path) == 16


def test_only_training_runs_are_listed_newest_first(tmp_path):
    for name, verb in (("a", "train"), ("b", "video"), ("c", "train")):
        create_run(tmp_path, verb, name, {})
    (tmp_path / "00009-empty").mkdir()
    (tmp_path / "00010-damaged").mkdir()
    (tmp_path / "00010-damaged" / "job.json").write_text("{")
    (tmp_path / "notes").mkdir()
    assert [folder.path.name for folder in list_training(tmp_path)] == ["00002-train-c", "00000-train-a"]
    assert list_training(tmp_path / "nowhere") == []


def test_a_part_of_a_sheet_is_enlarged(run):
    folder = TrainingFolder(run)
    data = sheet_part(folder, run / "fakes000004.png", columns=3, rows=2, side=32)
    (run / "part.png").write_bytes(data)
    with Image.open(run / "part.png") as picture:
        assert picture.size == (96, 64)
        assert [picture.getpixel((16 + 32 * i, 16))[0] for i in range(3)] == [120, 121, 122]
        assert picture.getpixel((16, 48))[0] == 123


def test_a_look_at_the_data_says_how_much_there_is(tmp_path):
    for i in range(5):
        (tmp_path / f"{i}.png").write_bytes(encode(np.full((16, 16, 3), 40 * i, np.uint8)))
    words, row = look_at_data(tmp_path, count=3, side=32)
    assert words == "5 pictures of 16 px"
    assert [int(grey) for grey in decode(row)[16, [16, 48, 80], 0]] == [0, 40, 120]
    with pytest.raises(DataError):
        look_at_data(tmp_path / "nothing")


def test_a_kept_snapshot_is_the_same_file_and_never_overwrites_another(tmp_path):
    snapshot, root = tmp_path / "network-snapshot-000004.safetensors", tmp_path / "models"
    snapshot.write_bytes(b"weights")
    kept = keep_snapshot(snapshot, root, "fruit-4")
    assert kept.samefile(snapshot) and kept.name == "fruit-4.safetensors"
    assert keep_snapshot(snapshot, root, "fruit-4") == kept
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"weightz")
    assert keep_snapshot(other, root, "fruit-4").name == "fruit-4-2.safetensors"
    assert kept.read_bytes() == b"weights"
    assert sorted(path.name for path in root.iterdir()) == ["fruit-4-2.safetensors", "fruit-4.safetensors"]


def test_a_run_among_too_many_files_is_refused_and_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(filesystem, "MOST_ENTRIES", 20)
    for name in ("00001-train-a", "00002-train-b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "stats.jsonl").touch()
    for i in range(20):
        (tmp_path / "00002-train-b" / str(i)).touch()
    assert [folder.path.name for folder in list_training(tmp_path)] == ["00001-train-a"]
    with pytest.raises(RunError, match="more than 20 files"):
        TrainingFolder.open(tmp_path / "00002-train-b")
    with pytest.raises(InputError, match="more than 20 files"):
        find_networks([tmp_path / "00002-train-b"])
