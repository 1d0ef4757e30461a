"""Every format of film: looked at by decoding the file, and asked what it says about itself."""

from __future__ import annotations

import json
import wave
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganlib import video
from ganlib.base.errors import DataError, InputError
from ganlib.latents.paths import Keyframe
from ganlib.latents.recipes import Recipe
from ganlib.models.checkpoints import read_card, save_snapshot
from ganlib.networks import tiny_generator
from ganlib.render.renderer import Renderer
from ganlib.video import Reaction, RenderJob, estimate, read_description
from ganlib.video.frames import Rendering
from tests.video.films import QUIET, Listener, decoded, ffmpeg, job_of, steps

RATE = 22_050


def write_track(path: Path, seconds: float = 3.0, beats: tuple[float, ...] = (0.5, 1.2, 2.1)) -> Path:
    """Clicks with a low tone behind each, and near silence between."""
    at = np.arange(round(seconds * RATE)) / RATE
    sound = 0.001 * np.random.RandomState(0).randn(len(at))
    for beat in beats:
        after = np.where(at >= beat, at - beat, np.inf)
        sound += 0.6 * np.exp(-after / 0.08) * np.where(np.isfinite(after), np.sin(440 * after.clip(0, 9)), 0)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(RATE)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return path


@pytest.mark.parametrize("kind", video.FORMATS)
def test_every_format_has_all_frames_and_knows_its_recipe(renderer, tmp_path, kind):
    job = job_of(format=kind, size=48, seconds=0.5, crf=4)
    path = video.render_video(job, tmp_path / f"film{job.suffix}", renderer=renderer, reporter=QUIET)
    sharp = np.concatenate(list(video.frames(job, renderer))).astype(int)
    if kind == "png":
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".png")]
            archive.extractall(tmp_path)
        frames = np.stack([np.asarray(Image.open(tmp_path / name)) for name in names]).astype(int)
    else:
        frames = decoded(path, 48)
    assert frames.shape == sharp.shape == (30, 48, 48, 3)
    assert np.abs(frames - sharp).mean() < {"png": 1e-9, "apng": 1e-9, "gif": 12}.get(kind, 8)
    assert steps(frames).min() > 0
    kept = read_description(path)
    assert (kept["model"], kept["digest"]) == ("tiny", "abc")
    assert RenderJob.from_dict({**kept["video"], "network": "tiny"}) == job
    if kind in ("apng", "webp"):
        with Image.open(path) as film:
            assert film.n_frames == 30 and film.info["loop"] == 0
            film.seek(3)
            film.load()
            assert film.info.get("duration") == 50


def test_a_folder_of_pictures_and_a_codec_that_apple_knows(renderer, tmp_path):
    job = job_of(format="png", size=16, seconds=0.25)
    folder = video.render_video(job, tmp_path / "frames", renderer=renderer, reporter=QUIET)
    assert len(list(folder.glob("frame*.png"))) == 15 and read_description(folder)["model"] == "tiny"
    job = job_of(size=48, seconds=0.25, codec="h265")
    path = video.render_video(job, tmp_path / "film.mp4", renderer=renderer, reporter=QUIET)
    assert "hevc" in (words := ffmpeg("-i", str(path)).stderr.decode()) and "hvc1" in words


def test_the_licence_of_the_model_is_in_the_film(tmp_path):
    model = tmp_path / "tiny.safetensors"
    save_snapshot(model, G_ema=tiny_generator(), title="Tiny", licence="CC0-1.0", data="drawings")
    job = replace(job_of(seconds=0.25, size=16), network=str(model))
    film = video.render_video(job, tmp_path / "f.mp4", renderer=Renderer.open(model, device="cpu"), reporter=QUIET)
    kept = read_description(film)
    assert (kept["licence"], kept["data"], kept["digest"]) == ("CC0-1.0", "drawings", read_card(model).digest)
    assert str(tmp_path) not in json.dumps(kept)


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.zip", "a.webp", "absent.webm"])
def test_files_of_others_have_no_recipe(tmp_path, name):
    if name.startswith("a."):
        (tmp_path / name).write_bytes(b"GIF89a nothing of ours")
    with pytest.raises(DataError):
        read_description(tmp_path / name)


def test_a_gif_keeps_its_size_limit_or_says_that_it_cannot(renderer, tmp_path):
    job = job_of(format="gif", size=128, seconds=0.5)
    full = video.render_video(job, tmp_path / "full.gif", renderer=renderer, reporter=QUIET).stat().st_size
    limited = replace(job, size_limit=round(full / 1e6 / 3, 3))
    small = video.render_video(limited, tmp_path / "small.gif", renderer=renderer, reporter=QUIET)
    assert small.stat().st_size <= full / 3 + 500
    with Image.open(small) as film:
        total = sum(film.seek(i) or film.info["duration"] for i in range(film.n_frames))
    assert total == pytest.approx(1500, rel=0.1), "it lasts as long"
    with pytest.raises(InputError, match="no gif of this film"):
        hopeless = replace(job_of(format="gif", size=128, seconds=2.0), size_limit=0.01)
        video.render_video(hopeless, tmp_path / "no.gif", renderer=renderer, reporter=QUIET)
    assert not (tmp_path / "no.gif").exists()


def test_title_caption_and_logo_are_over_the_film(renderer, tmp_path):
    Image.new("RGBA", (40, 20), (255, 0, 0, 255)).save(tmp_path / "logo.png")
    plain = job_of(size=128, seconds=0.5)
    job = replace(plain, title="Pears", title_seconds=0.5, caption="after Passmore", logo=str(tmp_path / "logo.png"),
                  logo_corner="top-left", logo_opacity=1.0)  # fmt: skip
    frames = np.concatenate(list(video.frames(job, renderer))).astype(int)
    bare = np.concatenate(list(video.frames(plain, renderer))).astype(int)
    assert len(frames) == job.num_frames == 10 + len(bare)
    assert (frames[0] == frames[1]).all() and np.abs(frames[0, 100:, 100:] - 20).max() < 8, "the card stands still"
    assert frames[-1, 8, 8].tolist() == [255, 0, 0]
    below = np.abs(frames[10:] - bare).sum((0, 3))
    assert below[:100, 40:].max() == 0 and below[110:].max() > 0
    (tmp_path / "logo.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="logo"):
        next(video.frames(job, renderer))


def test_a_mirrored_background_meets_the_picture(renderer):
    frames = np.concatenate(list(video.frames(job_of(size=64, aspect="9:16", background="mirror"), renderer)))
    top = (frames.shape[1] - 64) // 2
    assert (frames[:, top - 1] == frames[:, top]).all() and (frames[:, top - 5] == frames[:, top + 4]).all()


# --- sound ------------------------------------------------------------------------------------------------------------


def test_onsets_are_where_the_clicks_are(tmp_path):
    samples = video.read_track(write_track(tmp_path / "track.wav"))
    assert video.onsets(samples) == pytest.approx([0.5, 1.2, 2.1], abs=0.03)
    assert len(video.onsets(np.zeros(RATE, np.float32))) == 0
    for junk in (b"", b"no sound at all"):
        (tmp_path / "junk.mp3").write_bytes(junk)
        with pytest.raises(DataError):
            video.read_track(tmp_path / "junk.mp3")
    with pytest.raises(DataError):
        video.read_track(tmp_path / "absent.mp3")


def test_keyframes_are_cut_on_beats_and_the_track_decides_the_length(tmp_path):
    track = write_track(tmp_path / "track.wav")
    job = job_of(seeds=(1, 2, 3, 4), seconds=0.75, sound=str(track), beats=True)
    assert np.cumsum(video.fit_to_track(job).path.segment_seconds) == pytest.approx([0.5, 1.2, 2.1, 3.0], abs=0.03)
    fitted = video.fit_to_track(replace(job, length="track", path=replace(job.path)))
    assert fitted.path.seconds == pytest.approx(3.0)
    short = job_of(seconds=0.5, sound=str(track), length="track")
    assert video.fit_to_track(short).path.segment_seconds == pytest.approx((1.0, 1.0, 1.0), abs=0.02)
    assert video.fit_to_track(video.fit_to_track(short)) == video.fit_to_track(short)


@pytest.mark.parametrize("kind, codec", [("mp4", "aac"), ("webm", "opus")])
def test_the_track_is_in_the_film_as_long_as_the_film(renderer, tmp_path, kind, codec):
    job = job_of(seconds=0.5, size=32, format=kind, sound=str(write_track(tmp_path / "track.wav")), fade_seconds=0.5)
    path = video.render_video(job, tmp_path / f"film.{kind}", renderer=renderer, reporter=QUIET)
    words = ffmpeg("-i", str(path)).stderr.decode()
    assert codec in words and "Duration: 00:00:01.5" in words
    assert len(decoded(path, 32)) == 30
    heard = video.read_track(path)
    assert len(heard) / RATE == pytest.approx(1.5, abs=0.1)
    assert np.abs(heard[-RATE // 20 :]).max() < 0.05 < np.abs(heard).max()


def test_pictures_follow_the_sound(tmp_path):
    import torch

    G = tiny_generator()
    renderer = Renderer(G, name="tiny", directions={"glow": torch.ones(G.spec.w_dim)})
    job = job_of(seeds=(1, 1), seconds=1.5, sound=str(write_track(tmp_path / "track.wav")), size=16)
    still = np.concatenate(list(video.frames(job, renderer))).astype(int)
    moved = replace(job, reactions=(Reaction("glow", "onset", 1.0),))
    frames = np.concatenate(list(video.frames(moved, renderer))).astype(int)
    apart = np.abs(frames - still).mean((1, 2, 3))
    for beat in (0.5, 1.2, 2.1):
        assert apart[round(beat * 20) + 1] > 2 * apart[round(beat * 20) - 3], "it rises with each click"
    assert np.array_equal(frames, np.concatenate(list(video.frames(moved, renderer))))
    path = job_of(seeds=(1, 2), seconds=1.5, sound=job.sound, pulse=5.0)
    from ganlib.video.schedule import sound_levels

    times = video.frame_times(path, renderer, levels=sound_levels(path))
    strides = np.diff(times)
    assert times[0] == 0 and strides.min() > 0 and times[-1] < 3.0
    assert strides[10] > 2 * strides[8], "a step at the click is longer"


# --- even speed, cost -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", ["linear", "noise"])
def test_even_speed_halves_the_variation_of_decoded_frames(repository, tmp_path, curve):
    fruit = Renderer.open(repository / "checkpoints" / "fruit.safetensors", device="cpu")
    job = job_of(curve, seconds=0.8, size=None)
    variation = []
    for even in (False, True):
        film = replace(job, even_speed=even)
        path = video.render_video(film, tmp_path / f"{even}.mp4", renderer=fruit, reporter=QUIET)
        got = steps(decoded(path, 64))
        assert len(got) == film.num_frames and got.min() > 0.3
        assert got[-1] <= max(got[-4:-1].max(), got[:3].max()), "the seam is within its neighbours"
        variation.append(got.std() / got.mean())
    assert variation[1] < variation[0] / 2


def test_a_seam_that_would_stand_out_is_shortened(repository):
    fruit = Renderer.open(repository / "checkpoints" / "fruit.safetensors", device="cpu")
    # The corner at the first keyframe: the last segment is the fast one, and its last step would be the largest.
    job = job_of("linear", seeds=(1, 4), seconds=0.6, size=None, fps=12)
    slow = replace(job, path=replace(job.path, keyframes=(Keyframe(Recipe.of_seed(1), 1.5, "in"),
                                                          Keyframe(Recipe.of_seed(4), 0.5, "in"))))  # fmt: skip
    plain, times = slow.path.times(12), video.frame_times(slow, fruit)
    assert times[0] == 0 and np.diff(times).min() > 0 and times[-1] < slow.path.seconds
    before, after = (steps(np.concatenate(list(Rendering(slow.path, fruit).pictures(t))).astype(int))
                     for t in (plain, times))  # fmt: skip
    assert before[-1] > max(before[-4:-1].max(), before[:3].max()) >= after[-1] * 0.99
    assert after[-1] < before[-1]


def test_a_loop_of_two_does_not_halt_where_it_turns(renderer):
    job = job_of("cubic", seeds=(1, 2), seconds=2.0, fps=60)
    times = video.frame_times(job, renderer)
    assert times[0] == 0 and np.diff(times).min() > 0 and times[-1] < job.path.seconds
    weights = job.path.weights(np.append(times, job.path.seconds))
    ways = np.linalg.norm(np.diff(weights, axis=0), axis=1)
    assert ways.min() > 0.15 * ways.mean()
    plain = np.linalg.norm(np.diff(job.path.weights(job.path.times(60)), axis=0), axis=1)
    assert plain.min() < 0.03 * plain.mean()


def test_even_speed_keeps_keyframes_on_their_beats_and_turns_without_repeating(renderer, tmp_path):
    track = write_track(tmp_path / "track.wav")
    job = video.fit_to_track(job_of(seeds=(1, 2, 3, 4), seconds=0.75, sound=str(track), beats=True, even_speed=True))
    times = video.frame_times(job, renderer)
    plain = job.path.times(20)
    knots = np.cumsum(job.path.segment_seconds)
    assert np.array_equal(np.searchsorted(knots, times + 1e-9), np.searchsorted(knots, plain + 1e-9))
    odd = job_of("linear", seeds=(1, 2), seconds=0.75, fps=14, even_speed=True)
    frames = np.concatenate(list(video.frames(odd, renderer))).astype(int)
    assert len(frames) == odd.num_frames and odd.num_frames % 2 == 0 and steps(frames).min() > 0


def test_the_cost_is_estimated_from_a_trial(renderer, tmp_path):
    short, long = job_of(seconds=1.0), job_of(seconds=20.0)
    cost, much = estimate(short, renderer), estimate(long, renderer)
    assert cost.seconds > 0 and much.megabytes > 5 * cost.megabytes
    path = video.render_video(short, tmp_path / "film.mp4", renderer=renderer, reporter=Listener())
    assert cost.megabytes == pytest.approx(path.stat().st_size / 1e6, rel=1.0)
    assert estimate(replace(long, bitrate=8.0), renderer).megabytes == pytest.approx(60.0)


def test_odd_choices_are_refused_by_name():
    good = job_of()
    assert RenderJob.from_dict({k: v for k, v in good.to_dict().items() if k in ("network", "path")}).fps == 30
    for change in (
        {"codec": "av1"}, {"bitrate": 0}, {"bitrate": "5"}, {"size_limit": 3}, {"even_speed": 1}, {"sound": 5},
        {"beats": True}, {"length": "track"}, {"pulse": 1.0}, {"title": "x" * 201}, {"title_seconds": 0},
        {"logo_corner": "middle"}, {"logo_opacity": 2}, {"reactions": [{"direction": "../x"}]}, {"reactions": [3]},
        {"reactions": 3}, {"reactions": [{"direction": "a", "band": "noise"}]}, {"caption": None},
        {"format": "gif", "bitrate": 2.0}, {"sound": "a", "reactions": [{"direction": "a", "strength": "1"}]},
    ):  # fmt: skip
        with pytest.raises(InputError) as caught:
            RenderJob.from_dict({**good.to_dict(), **change})
        assert caught.value.hint


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_line_has_every_choice(tiny_labelled_model, tmp_path, capsys):
    from ganlib.__main__ import main

    model = tmp_path / "tiny.safetensors"
    model.write_bytes(tiny_labelled_model.read_bytes())
    spec = read_card(model).spec
    np.save(tmp_path / "w.npy", np.ones((2, spec.num_ws, spec.w_dim), np.float32))
    short = ["video", "--network", str(model), "--seconds", "0.2", "--fps", "10"]
    track = str(write_track(tmp_path / "track.wav"))
    for out, *flags in (
        ("drift.webm", "--seeds", "3", "--class", "1", "--curve", "noise", "--even-speed"),
        ("saved.gif", "--projected-w", str(tmp_path / "w.npy"), "--easing", "in-out", "--moving", "fine"),
        ("psi.webp", "--seeds", "3", "--class", "1", "--sweep-psi", "0.2,1"),
        ("class.png", "--seeds", "3", "--sweep-class", "0,1,2", "--title", "Three", "--title-seconds", "0.2"),
        ("song.mp4", "--seeds", "1,2,3", "--class", "0", "--sound", track, "--length", "track", "--beats"),
        ("frames", "--seeds", "1,2", "--class", "0", "--curve", "circle"),
    ):
        assert main([*short, *flags, "--out", str(tmp_path / out)]) == 0, out
        assert (tmp_path / out).exists() and read_description(tmp_path / out)["model"] == "tiny"
    assert len(list((tmp_path / "frames").glob("*.png"))) == 4
    assert "3.00 s" in said(capsys, main, [*short, "--seeds", "1,2", "--class", "0", "--sound", track,
                                           "--length", "track", "--out", "x.mp4", "--dry-run"])  # fmt: skip
    assert "MB for 4 frames" in said(
        capsys, main, [*short, "--seeds", "1,2", "--class", "0", "--out", "x.mp4", "--estimate"]
    )
    for wrong in (["--sweep-psi", "a,b"], ["--react", "../x:bass:1"], ["--beats"], ["--curve", "circle", "--no-loop"]):
        assert main([*short, "--seeds", "1,2", "--class", "0", "--out", str(tmp_path / "no.mp4"), *wrong]) == 2
    assert main([*short, "--out", str(tmp_path / "no.mp4")]) == 2
    assert not (tmp_path / "no.mp4").exists()


def said(capsys, main, argv: list[str]) -> str:
    capsys.readouterr()
    assert main(argv) == 0
    return capsys.readouterr().out
