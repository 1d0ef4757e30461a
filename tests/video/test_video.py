"""Films: looked at as a player shows them, by decoding the written file."""

import json
import re
import stat
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image

from ganlib import video
from ganlib.__main__ import main
from ganlib.base.errors import GanlibError, InputError
from ganlib.latents.editing import Direction, find_direction, save_direction
from ganlib.latents.paths import CIRCULAR, CURVES, Keyframe, LatentPath
from ganlib.latents.recipes import Edit, Recipe
from ganlib.models.checkpoints import read_card, save_snapshot
from ganlib.networks import tiny_generator
from ganlib.render.renderer import Renderer
from ganlib.runs import RunDir, Stopped, create_run, work
from ganlib.video import RenderJob
from tests.video.films import QUIET, Listener, decoded, ffmpeg, job_of, steps

# --- the film ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("seeds", [(1, 2), (1, 2, 3)])
def test_a_loop_has_no_repeated_frame_and_no_jump_at_the_seam(renderer, tmp_path, curve, seeds):
    job = job_of(curve, seeds=seeds)
    path = video.render_video(job, tmp_path / "loop.mp4", renderer=renderer, reporter=QUIET)
    frames = decoded(path, 64)
    assert len(frames) == 20 * len(seeds) == job.num_frames
    got = steps(frames)
    assert got.min() > 0.2, "a frame is repeated"
    near = got[[-4, -3, -2, 0, 1, 2]]
    # A corner of a linear path, and compression, allow the seam a little more than its neighbours.
    assert near.min() / 1.4 < got[-1] < near.max() * 1.4, (near, got[-1])


@pytest.mark.parametrize("seeds, seconds, fps", [((85, 12), 4.0, 20), ((1, 2, 3), 2.0, 12)])
def test_the_seam_of_a_slow_film_of_fruit_does_not_stand_out(repository, tmp_path, seeds, seconds, fps):
    fruit = Renderer.open(repository / "checkpoints" / "fruit.safetensors", device="cpu")
    job = job_of(seeds=seeds, seconds=seconds, fps=fps, size=None)
    path = video.render_video(job, tmp_path / "loop.mp4", renderer=fruit, reporter=QUIET)
    got = steps(decoded(path, 64))
    assert got[-1] <= 1.25 * got[:-1].max(), (got[-1], got[:-1].max())
    assert path.stat().st_size < 1700 * len(got), "bytes for each frame"


@pytest.mark.parametrize("seeds, seconds", [((1, 2), (0.75, 0.75)), ((1, 2, 3, 2), (0.25,) * 4), ((1, 2), (0.5, 1.0))])
def test_a_loop_that_turns_back_repeats_no_picture(renderer, seeds, seconds):
    keyframes = tuple(Keyframe(Recipe.of_seed(s), t) for s, t in zip(seeds, seconds, strict=True))
    job = RenderJob("tiny", LatentPath(keyframes, "linear"), fps=14, size=64)
    assert job.num_frames in (round(14 * sum(seconds)), round(14 * sum(seconds)) + 1)
    frames = np.concatenate(list(video.frames(job, renderer))).astype(int)
    assert len(frames) == job.num_frames and steps(frames).min() > 0


@pytest.mark.parametrize("kind", ["mp4", "gif"])
@pytest.mark.parametrize(
    "aspect, width, height", [("1:1", 50, 50), ("9:16", 50, 90), ("16:9", 90, 50), ("4:5", 50, 64)]
)
def test_a_film_of_another_shape_has_the_picture_in_its_middle(renderer, tmp_path, kind, aspect, width, height):
    job = job_of(size=50, fps=8, seconds=0.5, format=kind, aspect=aspect, background="#2040c0")
    assert job.frame_size(16) == (width, height)
    path = video.render_video(job, tmp_path / f"film.{kind}", renderer=renderer, reporter=QUIET)
    assert f"{width}x{height}" in ffmpeg("-i", str(path)).stderr.decode()
    square = np.concatenate(list(video.frames(job_of(size=50, fps=8, seconds=0.5), renderer)))
    frames = np.concatenate(list(video.frames(job, renderer)))
    top, left = (height - 50) // 2, (width - 50) // 2
    assert np.array_equal(frames[:, top : top + 50, left : left + 50], square)
    if aspect != "1:1":
        assert (frames[:, 0, 0] == (0x20, 0x40, 0xC0)).all() and (frames[:, -1, -1] == (0x20, 0x40, 0xC0)).all()
    assert RenderJob.from_dict(json.loads(json.dumps(job.to_dict()))) == job


def test_a_blurred_background_has_the_colours_of_the_picture(renderer):
    job = job_of(size=64, fps=8, seconds=0.5, aspect="16:9", background="blur")
    frames = np.concatenate(list(video.frames(job, renderer))).astype(int)
    picture, edges = frames[:, :, 25:89], np.concatenate([frames[:, :, :25], frames[:, :, 89:]], 2)
    assert frames.shape[1:] == (64, 114, 3)
    assert np.abs(edges.mean((1, 2)) - picture.mean((1, 2))).mean() < 30
    assert np.abs(np.diff(edges, axis=1)).mean() < np.abs(np.diff(picture, axis=1)).mean() / 2


@pytest.mark.parametrize("name", ["a:b.mp4", "-y.mp4", "data:x.gif", "50%d.mp4"])
def test_a_film_may_be_called_anything(renderer, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    job = job_of(fps=8, seconds=0.5, format=name[-3:])
    video.render_video(job, Path(name), renderer=renderer, reporter=QUIET)
    assert [path.name for path in tmp_path.iterdir()] == [name] and (tmp_path / name).stat().st_size > 500


def test_an_open_film_ends_at_its_last_keyframe(renderer, tmp_path):
    job = job_of("cubic", loop=False)
    path = video.render_video(job, tmp_path / "open.mp4", renderer=renderer, reporter=QUIET)
    frames = decoded(path, 64)
    assert len(frames) == 2 * 20 + 1
    pictures = renderer.render([keyframe.recipe for keyframe in job.path.keyframes]).astype(int)
    for index, picture in zip((0, 20, 40), pictures, strict=True):
        small = frames[index].reshape(16, 4, 16, 4, 3).mean((1, 3))
        distance = [np.abs(small - other).mean() for other in pictures]
        assert np.argmin(distance) == np.argmin(np.abs(pictures - picture).mean((1, 2, 3))) and min(distance) < 12


def test_frames_do_not_depend_on_the_batch(renderer):
    whole = np.concatenate(list(video.frames(job_of("slerp"), renderer, batch=60)))
    parts = np.concatenate(list(video.frames(job_of("slerp"), renderer, batch=7)))
    assert whole.shape == (60, 64, 64, 3) and np.abs(whole.astype(int) - parts).max() <= 1
    native = job_of("slerp", size=None)
    assert next(video.frames(native, renderer, batch=3)).shape == (3, 16, 16, 3)


def test_random_noise_stands_still(renderer):
    still = tuple(Keyframe(Recipe.of_seed(1, noise_mode="random", noise_seed=4), 0.5) for _ in range(2))
    frames = np.concatenate(list(video.frames(RenderJob("tiny", LatentPath(still)), renderer, batch=4)))
    assert np.abs(frames.astype(int) - frames[0]).max() <= 1
    assert np.abs(frames[0].astype(int) - renderer.render([still[0].recipe])[0]).max() <= 1


def test_a_film_plays_anywhere_and_knows_its_recipe(renderer, tmp_path):
    job = job_of(size=65, fps=12.5)
    path = video.render_video(job, tmp_path / "film.mp4", renderer=renderer, reporter=QUIET)
    words = ffmpeg("-i", str(path)).stderr.decode()
    assert "h264" in words and "yuv420p(tv, bt709" in words and "66x66" in words and "12.50 fps" in words
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "playing can start before all is loaded"
    metadata = ffmpeg("-loglevel", "error", "-i", str(path), "-f", "ffmetadata", "-").stdout.decode()
    comment = next(line for line in metadata.splitlines() if line.startswith("comment="))
    kept = json.loads(re.sub(r"\\(.)", r"\1", comment.removeprefix("comment=")))
    assert (kept["model"], kept["digest"]) == ("tiny", "abc")
    assert RenderJob.from_dict({**kept["video"], "network": "tiny"}) == job


def test_colours_survive(tmp_path):
    flat = np.zeros((20, 64, 64, 3), np.uint8)
    flat[:, :32, :32], flat[:, :32, 32:], flat[:, 32:, :32] = (200, 40, 30), (30, 160, 60), (40, 60, 190)
    path = tmp_path / "film.mp4"
    video.write_film(path, [flat], (64, 64), fps=20, num_frames=20, palette=list, reporter=QUIET, crf=8)
    frame = decoded(path, 64)[10]
    for corner in (np.s_[8:24, 8:24], np.s_[8:24, 40:56], np.s_[40:56, 8:24], np.s_[40:56, 40:56]):
        assert np.abs(frame[corner] - flat[0][corner]).max() <= 4


@pytest.mark.parametrize("loop", [True, False])
def test_a_gif_has_one_palette_and_keeps_its_time(renderer, tmp_path, loop):
    job = job_of(format="gif", size=49, loop=loop)
    path = video.render_video(job, tmp_path / "film.gif", renderer=renderer, reporter=QUIET)
    frames = decoded(path, 49)
    assert len(frames) == job.num_frames and steps(frames).min() > 0
    sharp = np.concatenate(list(video.frames(job, renderer))).astype(int)
    assert np.abs(frames - sharp).mean() < 12
    with Image.open(path) as film:
        assert (
            film.size == (49, 49) and film.n_frames == job.num_frames and film.info.get("loop") == (0 if loop else None)
        )
        total = 0
        for i in range(film.n_frames):
            film.seek(i)
            total += film.info["duration"]
        kept = json.loads(film.info["comment"])
    assert total == pytest.approx(job.num_frames * 50, rel=0.03) and kept["video"]["format"] == "gif"


@pytest.mark.parametrize(("aspect", "shape"), [("1:1", (31, 31)), ("9:16", (56, 32)), ("16:9", (32, 56))])
def test_the_preview_is_framed_as_the_film(renderer, aspect, shape):
    job = job_of(seconds=0.5, aspect=aspect, background="#c8452d")
    frames = video.preview_frames(job, renderer, max_frames=4, side=31)
    assert frames.shape == (4, *shape, 3) and frames.dtype == np.uint8
    top, left = (shape[0] - 31) // 2, (shape[1] - 31) // 2
    bare = video.preview_frames(job_of(seconds=0.5), renderer, max_frames=4, side=31)
    np.testing.assert_array_equal(frames[:, top : top + 31, left : left + 31], bare)
    corner = [200, 69, 45] if aspect != "1:1" else bare[0, 0, 0].tolist()
    assert frames[0, 0, 0].tolist() == corner


def test_the_preview_is_small_quick_and_as_long_as_the_film(renderer, tmp_path):
    data = video.preview(job_of(seconds=2.0), renderer, max_frames=30, side=32)
    (tmp_path / "preview.webp").write_bytes(data)
    with Image.open(tmp_path / "preview.webp") as film:
        assert film.format == "WEBP" and film.size == (32, 32) and film.n_frames == 30 and film.info["loop"] == 0
        frames = []
        for i in range(30):
            film.seek(i)
            frames.append(np.asarray(film.convert("RGB")).astype(int))
            assert film.info["duration"] == 200
    got = steps(np.stack(frames))
    assert got.min() > 0 and got[-1] < 1.4 * max(got[-3], got[-2], got[0], got[1])


# --- failure ----------------------------------------------------------------------------------------------------------


def test_progress_counts_frames_and_a_request_to_stop_leaves_no_file(renderer, tmp_path):
    listener = Listener()
    video.render_video(job_of(), tmp_path / "film.mp4", renderer=renderer, reporter=listener)
    assert listener.seen[0] == (0, 60) and listener.seen[-1] == (60, 60) and sorted(listener.seen) == listener.seen
    before = (tmp_path / "film.mp4").read_bytes()
    for kind in ("mp4", "gif"):
        long = job_of(seconds=30.0, format=kind)
        with pytest.raises(Stopped):
            video.render_video(long, tmp_path / f"film.{kind}", renderer=renderer, reporter=Listener(stop_after=1))
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"] and (tmp_path / "film.mp4").read_bytes() == before


@pytest.mark.parametrize(
    "script", ["echo no such codec >&2; exit 7", "cat > /dev/null; echo no such codec >&2; exit 7"]
)
def test_what_ffmpeg_says_is_passed_on(renderer, tmp_path, monkeypatch, script):
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(program))
    with pytest.raises(GanlibError, match="status 7: no such codec") as caught:
        video.render_video(job_of(size=256), tmp_path / "film.mp4", renderer=renderer, reporter=QUIET)
    assert caught.value.hint and list(tmp_path.iterdir()) == [program]


def test_odd_settings_are_refused(renderer, tmp_path):
    good = job_of()
    assert RenderJob.from_dict(json.loads(json.dumps(good.to_dict()))) == good
    for change in (
        {"fps": 0},
        {"fps": float("nan")},
        {"fps": "30"},
        {"size": 8},
        {"size": 64.5},
        {"size": True},
        {"format": "avi"},
        {"format": "gif", "fps": 60},
        {"crf": 0},
        {"crf": 99},
        {"network": 3},
        {"path": {"keyframes": []}},
        {"colour": "red"},
        {"aspect": "2:1"},
        {"aspect": 1},
        {"background": "red"},
        {"background": "#12345"},
        {"background": None},
    ):
        with pytest.raises(InputError) as caught:
            RenderJob.from_dict({**good.to_dict(), **change})
        assert caught.value.hint
    with pytest.raises(InputError):
        RenderJob.from_dict({"network": "tiny"})
    with pytest.raises(InputError, match="frames"):
        job_of(seconds=3600.0, fps=120).validate()
    with pytest.raises(InputError):
        video.render_video(good, tmp_path / "film.gif", renderer=renderer, reporter=QUIET)


# --- the job ----------------------------------------------------------------------------------------------------------


def test_the_job_opens_the_model_and_shows_its_film(tmp_path):
    model = tmp_path / "tiny.safetensors"
    save_snapshot(model, G_ema=tiny_generator())
    job = RenderJob.from_dict({**job_of().to_dict(), "network": str(model), "device": "cpu"})
    run = create_run(tmp_path / "runs", "video", "morph", job.to_dict())
    assert work(run, video.run_job, echo=QUIET) == "done", run.log_tail()
    assert RunDir.open(run.path).artefacts == [run.path / "morph.mp4"] and run.progress == 1
    assert not (run.path / video.PARTS).exists()
    assert len(decoded(run.path / "morph.mp4", 64)) == 60
    lost = create_run(tmp_path / "runs", "video", "morph", {**job.to_dict(), "network": "nobody"})
    assert work(lost, video.run_job, echo=QUIET) == "failed" and lost.hint


# --- classes and directions from the command line ---------------------------------------------------------------------


@pytest.fixture
def classes(tmp_path) -> Path:
    path = tmp_path / "kinds.safetensors"
    save_snapshot(
        path, G_ema=tiny_generator(label_dim=3), title="Kinds", source="untrained", licence="CC0", data="none",
        classes=["apple", "pear", "plum"],
    )  # fmt: skip
    return path


def film_of(model: Path, *flags: str) -> RenderJob:
    out = model.parent / "film.png"
    argv = ["video", "--network", str(model), "--seconds", "0.2", "--fps", "10", "--device", "cpu", "--out", str(out)]
    assert main([*argv, *flags]) == 0
    return RenderJob.from_dict({**video.read_description(out)["video"], "network": model.name})


def labels_of(job: RenderJob) -> list[int | None]:
    return [keyframe.recipe.label for keyframe in job.path.keyframes]


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["--seeds", "4,5,6"], [1, 2, 0]),
        (["--seeds", "4,5,6", "--class", "pear"], [1, 1, 1]),
        (["--seeds", "4,5,6", "--class", "plum,0, pear"], [2, 0, 1]),
        (["--seeds", "4", "--sweep-class", "plum,apple"], [2, 0]),
    ],
)
def test_seeds_of_a_film_have_a_class_each_and_take_them_in_turn_without_a_choice(classes, flags, expected):
    assert labels_of(film_of(classes, *flags)) == expected


def test_a_film_passes_from_class_to_class_in_w(classes):
    renderer = Renderer.open(classes, device="cpu")
    recipes = [Recipe.of_seed(5, label=0), Recipe.of_seed(5, label=2)]
    path = LatentPath(tuple(Keyframe(recipe, 1.0) for recipe in recipes), "linear", loop=False)
    ends = renderer.w_plus(recipes)
    assert not ends[0].equal(ends[1])
    np.testing.assert_allclose(path.frame_w_plus(renderer, 2)[1], ends.mean(dim=0), atol=1e-5)


def test_classes_that_do_not_fit_the_seeds_are_refused(classes, capsys):
    argv = ["video", "--network", str(classes), "--out", "x.gif", "--dry-run"]
    assert main([*argv, "--seeds", "1,2,3", "--class", "0,1"]) == 2
    assert "2 classes for 3 seeds" in capsys.readouterr().err
    assert main([*argv, "--seeds", "1,2", "--class", "0,cherry"]) == 2
    assert "cherry" in capsys.readouterr().err


def test_a_model_without_a_learned_w_says_what_lies_between_classes(classes):
    path = LatentPath(tuple(Keyframe(Recipe.of_seed(1, label=label)) for label in (0, 1)))
    spec = Renderer.open(classes, device="cpu").spec
    assert path.class_warning(spec) == ""
    assert "never saw" in path.class_warning(replace(spec, truncatable=False))


def test_one_keyframe_is_told_the_curves_that_need_only_one(classes, capsys):
    assert main(["video", "--network", str(classes), "--seeds", "7", "--out", "x.gif", "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert all(curve in said for curve in CIRCULAR)
    for curve in CIRCULAR:
        argv = ["video", "--network", str(classes), "--seeds", "7", "--curve", curve, "--out", "x.gif", "--dry-run"]
        assert main(argv) == 0


def test_directions_of_a_film_are_named_by_title_in_any_case(classes, tmp_path, capsys):
    folder = read_card(classes).folder
    for name, title in (("d1", "Ripe: sweet"), ("d2", "Round"), ("d3", "round"), ("ripe", "")):
        save_direction(folder, Direction(name, torch.ones(read_card(classes).spec.w_dim), title, first=1, last=2))
    job = film_of(classes, "--seeds", "1", "--sweep-direction", "RIPE: sweet:-1,2")
    assert [edit.direction for keyframe in job.path.keyframes for edit in keyframe.recipe.edits] == ["d1", "d1"]
    assert job.path.keyframes[0].recipe.edits[0] == Edit("d1", -1, 1, 2)
    assert find_direction(folder, "d2").name == find_direction(folder, "D2").name == "d2"
    argv = ["video", "--network", str(classes), "--seeds", "1,2", "--out", "x.mp4", "--dry-run", "--react"]
    assert main([*argv, "ROUND:bass:1"]) == 2
    assert "d2, d3" in capsys.readouterr().err
    assert main([*argv, "tall:bass:1"]) == 2
    assert "Ripe: sweet" in capsys.readouterr().err


def test_a_name_that_is_the_title_of_another_direction_is_not_guessed(classes):
    folder = read_card(classes).folder
    for name, title in (("Ripeness", "Size"), ("d1", "Ripeness"), ("size-2", "size-2")):
        save_direction(folder, Direction(name, torch.ones(read_card(classes).spec.w_dim), title))
    for words in ("Ripeness", "ripeness"):
        with pytest.raises(InputError, match="2 directions are called") as error:
            find_direction(folder, words)
        assert "Ripeness" in error.value.hint and "d1" in error.value.hint
    assert find_direction(folder, "d1").name == "d1" and find_direction(folder, "Size").name == "Ripeness"
    assert find_direction(folder, "size-2").name == "size-2"


@pytest.mark.parametrize(
    ("flags", "words"),
    [("--seeds 7 --curve circle --no-loop", "--no-loop with --curve circle"),
     ("--seeds 1-3 --curve circle --no-loop", "--no-loop with --curve circle"),
     ("--seeds 7 --curve noise --no-loop", "--no-loop with --curve noise"),
     ("--seeds 5 --class 0,1", "2 classes for 1 seed\n"), ("--seeds 5 --class 0,1", "--sweep-class 0,1"),
     ("--seeds 5-7 --class 0,1", "2 classes for 3 seeds\n")],
)  # fmt: skip
def test_flags_that_contradict_each_other_are_both_named(classes, capsys, flags, words):
    assert main(["video", "--network", str(classes), *flags.split(), "--out", "x.gif", "--dry-run"]) == 2
    assert words in capsys.readouterr().err
