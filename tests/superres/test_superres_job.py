"""Many files through an upscaling network: batches, films, recipes, the command line, and a training of one's own."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganlib.__main__ import main
from ganlib.base.errors import DataError, InputError
from ganlib.latents.recipes import Recipe, embed_text, parse_embedded
from ganlib.media import headers, images
from ganlib.media.ffmpeg import as_file, encoder, open_reader, raw_input, run_ffmpeg
from ganlib.runs import RunDir, SilentReporter, Stopped, create_run
from ganlib.superres import UpscaleConfig, films, read_records, upscale
from ganlib.superres.films import probe
from ganlib.superres.networks import NetworkSpec
from ganlib.superres.training import STATE, UpscalerConfig, start_network, train
from ganlib.superres.weights import Card, open_network, save


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    spec = NetworkSpec("srvgg", 4, 4, 1)
    path = tmp_path_factory.mktemp("model") / "little.safetensors"
    return str(save(path, spec, start_network(spec, 0), Card("Little", "CC0-1.0")))


def pixels(seed: int = 0, height: int = 16, width: int = 24) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 255, (4, 6, 3), np.uint8)
    return images.resize(noise, width, height)


def write(path: Path, seed: int = 0, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode(pixels(seed), "png", **options))
    return path


def make_film(path: Path, frames: int = 10, *, sound: str = "aac") -> Path:
    silent = path.with_name(f"silent-{path.name}.mp4")
    moving = np.stack([np.roll(pixels(), i, axis=1) for i in range(frames)])
    coding = ["-c:v", "libx264", "-crf", "10", "-pix_fmt", "yuv420p", "-f", "mp4", "-y", as_file(silent)]
    with encoder([*raw_input((24, 16), 10), *coding]) as put:
        put(moving)
    if not sound:
        silent.rename(path)
        return path
    tone = ["-f", "lavfi", "-i", f"sine=frequency=440:duration={frames / 10}"]
    run_ffmpeg(["-i", as_file(silent), *tone, "-c:v", "copy", "-c:a", sound, "-y", as_file(path)])
    silent.unlink()
    return path


def frames_of(path: Path, width: int, height: int) -> np.ndarray:
    with open_reader(["-i", as_file(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]) as stream:
        return np.frombuffer(stream.read(), np.uint8).reshape(-1, height, width, 3)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_sixteen_bits_that_become_eight_are_told_of_once(model, tmp_path, suffix, capsys):
    deep = (np.arange(12 * 16, dtype=np.uint16) * 300).reshape(12, 16)
    Image.fromarray(deep).save(tmp_path / f"deep{suffix}")
    write(tmp_path / "flat.png")
    argv = ["--source", *(str(tmp_path / name) for name in (f"deep{suffix}", "flat.png")), "--model", model]
    assert main(["upscale", *argv, "--dest", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    words = "it has 16 bits for each colour, and the result 8"
    assert (captured.out + captured.err).count(f"warning: deep{suffix}: {words}") == 1
    assert [row["note"].split(":")[0] for row in read_records(tmp_path / "out")] == [words, ""]
    with Image.open(tmp_path / "out" / "deep.png") as made:
        assert made.mode == "RGB"


def test_the_depth_of_a_picture_is_read_from_its_header():
    ppm = {65535: 16, 256: 16, 255: 8, 1: 8}
    assert {top: headers.depth_of(b"P6\n2 2\n%d\n" % top + bytes(24)) for top in ppm} == ppm
    assert headers.depth_of(b"P5\n2 2\n65535\n" + bytes(8)) == 16
    assert headers.depth_of(b"Pf\n2 2\n-1.0\n" + bytes(16)) == 32
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"):
        out = io.BytesIO()
        Image.fromarray(pixels()).save(out, kind)
        assert headers.depth_of(out.getvalue()) == 8


def test_grey_stays_grey_and_a_moving_gif_keeps_moving(model, tmp_path):
    grey = np.random.default_rng(0).integers(0, 255, (12, 16), np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    upscale(UpscaleConfig(source=(tmp_path / "grey.png",), dest=tmp_path / "large.png", model=model))
    large = images.decode((tmp_path / "large.png").read_bytes())
    assert large.shape == (48, 64, 3) and np.ptp(large, axis=2).max() == 0 and large.std() > 10
    moving = [Image.fromarray(np.roll(pixels(), 3 * i, axis=1)) for i in range(5)]
    for name, frames in (("moving", moving), ("still", moving[:1])):
        frames[0].save(tmp_path / f"{name}.gif", save_all=True, append_images=frames[1:], duration=100)
    with pytest.raises(InputError, match="no name"):
        upscale(UpscaleConfig(source=(tmp_path / "moving.gif",), dest=tmp_path / "moving.png", model=model))
    upscale(UpscaleConfig(source=(tmp_path / "moving.gif",), dest=tmp_path / "moving.mp4", model=model))
    shown = frames_of(tmp_path / "moving.mp4", 96, 64)
    assert len(shown) == 5 and np.abs(shown[0].astype(int) - shown[2]).mean() > 5
    upscale(UpscaleConfig(source=(tmp_path / "still.gif",), dest=tmp_path / "still.png", model=model))
    assert images.decode((tmp_path / "still.png").read_bytes()).shape == (64, 96, 3)


def test_of_two_files_of_one_stem_each_result_is_its_own(model, tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(pixels(1)).save(tmp_path / "in" / "a.jpg", quality=95)
    write(tmp_path / "in" / "a.png", 2)
    made = upscale(UpscaleConfig(source=(tmp_path / "in",), dest=tmp_path / "out", model=model, scale=1.0))
    names = {row.source.name: row.dest.name for row in made}
    assert names == {"a.jpg": "a-2.png", "a.png": "a.png"}


class Stopping(SilentReporter):
    """Asks to stop once progress has been told so many times."""

    def __init__(self, after: int) -> None:
        self.left = after

    def progress(self, done, total, message=""):
        assert 0 <= done <= total + 1e-9
        self.left -= 1

    def should_stop(self):
        return self.left < 0


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_one_picture_becomes_the_file_that_is_named(tmp_path, model):
    source = write(tmp_path / "a.png")
    for name, kind in (("b.png", "PNG"), ("c.jpg", "JPEG"), ("new/d.webp", "WEBP")):
        (row,) = upscale(UpscaleConfig((source,), tmp_path / name, model, scale=3))
        with Image.open(tmp_path / name) as made:
            assert (made.format, made.size) == (kind, (72, 48)) and (row.width, row.height) == (72, 48)
    for name in ("a.png", "b.gif", "b.mp4"):
        with pytest.raises(InputError):
            upscale(UpscaleConfig((source,), tmp_path / name, model))


def test_recipe_licence_and_mark_stay_and_the_upscaler_is_named(tmp_path, model):
    recipe = Recipe(seeds=((7, 1.0),), psi=0.5)
    text = embed_text(recipe, digest="d" * 64, model="fruit", licence="CC0")
    source = write(tmp_path / "seed7.png", recipe=text, mark_ai=True)
    upscale(UpscaleConfig((source,), tmp_path / "once.png", model, scale=2))
    upscale(UpscaleConfig((tmp_path / "once.png",), tmp_path / "twice.webp", model, size="200x"))
    data = (tmp_path / "twice.webp").read_bytes()
    kept = images.read_recipe_text(data)
    assert parse_embedded(kept) == (recipe, "d" * 64, "fruit") and images.says_ai(data)
    about = json.loads(kept)
    assert about["licence"] == "CC0"
    assert about["upscaled"] == [
        "upscaled by little x2 to 48x32 (CC0-1.0)", "upscaled by little x4.167 to 200x133 (CC0-1.0)",
    ]  # fmt: skip
    upscale(UpscaleConfig((write(tmp_path / "b.png"),), tmp_path / "plain.png", model))
    assert not images.says_ai((tmp_path / "plain.png").read_bytes())


def test_alpha_and_orientation_are_kept(tmp_path, model):
    shape = np.dstack([pixels(), np.tile(np.linspace(0, 255, 24), (16, 1)).astype(np.uint8)])
    (tmp_path / "a.png").write_bytes(images.encode(shape, "png"))
    upscale(UpscaleConfig((tmp_path / "a.png",), tmp_path / "b.png", model))
    with Image.open(tmp_path / "b.png") as made:
        assert made.mode == "RGBA" and made.getchannel("A").getextrema()[0] == 0
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(pixels()).save(tmp_path / "turned.jpg", exif=exif)
    (row,) = upscale(UpscaleConfig((tmp_path / "turned.jpg",), tmp_path / "up.png", model, scale=2))
    with Image.open(tmp_path / "up.png") as made:
        assert made.size == (32, 48) == (row.width, row.height)


def test_a_bad_file_does_not_stop_the_rest_and_what_is_done_stays(tmp_path, model):
    folder = tmp_path / "in"
    for i, name in enumerate(("a.png", "deep/a.png", "c.png")):
        write(folder / name, i)
    Image.fromarray(pixels()).save(folder / "a.jpg")
    (folder / "bad.png").write_bytes(b"not a picture")
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:-40])
    (folder / "notes.txt").write_text("not looked at")
    make_film(folder / "film.mp4", 3)
    config = UpscaleConfig((folder,), tmp_path / "out", model, scale=2)
    rows = upscale(config)
    assert [row.source.name for row in rows if row.error] == ["bad.png", "cut.png"]
    made = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*") if p.is_file())
    assert made == ["a-2.png", "a.png", "c.png", "deep/a.png", "film.mp4", "upscaled.jsonl"]
    assert {Path(row["dest"]).name for row in read_records(tmp_path / "out") if row["error"]} == {"bad.png", "cut.png"}

    # Again: only what changed, or is gone, is made anew.
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.png")}
    write(folder / "c.png", 9)
    (tmp_path / "out" / "deep" / "a.png").unlink()
    upscale(config)
    again = {path for path in times if path.stat().st_mtime_ns != times[path]}
    assert {str(path.relative_to(tmp_path / "out")) for path in again} == {"c.png", "deep/a.png"}
    with pytest.raises(DataError, match="none of 2 files"):
        upscale(UpscaleConfig((folder / "bad.png", folder / "cut.png"), tmp_path / "none", model))


def test_hostile_pictures_are_told_of(tmp_path, model):
    bomb = io.BytesIO()
    Image.new("1", (13_000, 13_000)).save(bomb, "PNG")
    (tmp_path / "bomb.png").write_bytes(bomb.getvalue())
    (tmp_path / "film.mp4").write_bytes(b"\0" * 300)
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    for name in ("bomb.png", "film.mp4", "list.mp4", "missing.png"):
        with pytest.raises((DataError, InputError)) as refused:
            upscale(UpscaleConfig((tmp_path / name,), tmp_path / "out", model))
        assert refused.value.hint
    assert not (tmp_path / "out").exists()


# --- films ------------------------------------------------------------------------------------------------------------


def test_a_film_keeps_its_sound_its_speed_and_its_frames(tmp_path, model):
    for source in (make_film(tmp_path / "a.mp4"), make_film(tmp_path / "b.mkv", sound="pcm_s16le")):
        upscale(UpscaleConfig((source,), tmp_path / "up.mp4", model, scale=3))
        film = probe(tmp_path / "up.mp4")
        assert (film.width, film.height, film.fps, film.sound) == (72, 48, 10, "aac")
        assert film.seconds == pytest.approx(1.0, abs=0.08)
        small, large = frames_of(source, 24, 16), frames_of(tmp_path / "up.mp4", 72, 48)
        assert len(small) == len(large) == 10
        for before, after in zip(small, large, strict=True):
            assert np.abs(images.resize(after, 24, 16).astype(int) - before).mean() < 12
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_film_that_does_not_say_its_length_is_enlarged(tmp_path, model):
    source = make_film(tmp_path / "a.mp4", 4, sound="")
    run_ffmpeg(["-i", as_file(source), "-c:v", "copy", "-f", "h264", "-y", as_file(tmp_path / "raw.mp4")])
    assert probe(tmp_path / "raw.mp4").seconds == 0
    upscale(UpscaleConfig((tmp_path / "raw.mp4",), tmp_path / "up.mp4", model, scale=2))
    assert len(frames_of(tmp_path / "up.mp4", 48, 32)) >= 4


def test_a_stopped_film_goes_on_and_is_the_same(tmp_path, model, monkeypatch):
    monkeypatch.setattr(films, "PART_FRAMES", 3)
    source = make_film(tmp_path / "a.mp4", sound="")
    config = UpscaleConfig((source,), tmp_path / "up.mp4", model, scale=2)
    upscale(config)
    whole = frames_of(tmp_path / "up.mp4", 48, 32)
    other = UpscaleConfig((source,), tmp_path / "other.mp4", model, scale=2)
    with pytest.raises(Stopped):
        upscale(other, Stopping(9))
    assert not (tmp_path / "other.mp4").exists()
    parts = sorted(path.name for path in (tmp_path / ".other.mp4.parts").glob("part*"))
    assert parts[:2] == ["part-00000.mp4", "part-00001.mp4"]
    made = []
    through = films._frames
    monkeypatch.setattr(films, "_frames", lambda *given: (made.append(1) or frame for frame in through(*given)))
    upscale(other)
    assert len(made) < 10 and np.array_equal(frames_of(tmp_path / "other.mp4", 48, 32), whole)


# --- jobs and the command line ----------------------------------------------------------------------------------------


def test_a_job_upscales_into_its_own_directory(tmp_path, model):
    config = UpscaleConfig((write(tmp_path / "a.png"), write(tmp_path / "b.png", 1)), Path("out"), model, scale=2)
    run = create_run(tmp_path / "runs", "upscale", "two", config.to_dict())
    assert main(["run", str(run.path)]) == 0
    done = RunDir(run.path)
    assert done.state == "done" and [path.name for path in done.artefacts] == ["a.png", "b.png"]
    assert (run.path / "out" / "b.png").is_file() and done.progress == 1


def test_the_command_line_upscales_lists_and_refuses(tmp_path, model, capsys, monkeypatch):
    monkeypatch.setenv("GANLIB_CACHE", str(tmp_path / "cache"))
    write(tmp_path / "F.png")
    flags = ["upscale", "--source", str(tmp_path / "F.png"), "--dest"]
    assert main([*flags, str(tmp_path / "G.png"), "--scale", "4", "--model", model, "--device", "cpu"]) == 0
    with Image.open(tmp_path / "G.png") as made:
        assert made.size == (96, 64)
    assert main(["upscale", "--list"]) == 0
    assert "atelier-x4" in (words := capsys.readouterr().out) and "BSD-3-Clause" in words
    (tmp_path / "bad.png").write_text("no")
    sources = ["--source", str(tmp_path / "F.png"), str(tmp_path / "bad.png")]
    assert main(["upscale", *sources, "--dest", str(tmp_path / "o"), "--model", model]) == 2
    assert (tmp_path / "o" / "F.png").is_file() and "bad.png" in capsys.readouterr().err
    for wrong in (["--scale", "99"], ["--size", "axb"], ["--quality", "0"], ["--tile", "7"], ["--model", "nobody"]):
        assert main([*flags, str(tmp_path / "H.png"), *wrong]) == 2
        assert "hint:" in capsys.readouterr().err
    assert main(["upscale", "--dest", "x"]) == 2


# --- a network of one's own -------------------------------------------------------------------------------------------


def test_a_stopped_training_goes_on_to_the_same_network(tmp_path, monkeypatch):
    monkeypatch.setenv("GANLIB_CACHE", str(tmp_path / "no-weights"))
    monkeypatch.delenv("GANLIB_SQUEEZENET", raising=False)
    for i in range(20):
        write(tmp_path / "data" / f"{i}.png", i)
        (tmp_path / "data" / f"{i}.png").write_bytes(images.encode(pixels(i, 60, 64), "png"))
    options = {"features": 6, "blocks": 1, "batch": 2, "patch": 12, "steps": 4, "save_every": 2}

    def config(name: str) -> UpscalerConfig:
        return UpscalerConfig((tmp_path / "data",), tmp_path / name, **options).validate()

    train(config("whole"), SilentReporter())
    with pytest.raises(Stopped):
        train(config("parts"), Stopping(2))
    assert (tmp_path / "parts" / STATE).is_file()
    path = train(config("parts"), SilentReporter())
    one, other = open_network(tmp_path / "whole" / path.name), open_network(path)
    pairs = zip(one.network.state_dict().values(), other.network.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert other.card.metrics["steps"] == 4 and other.card.metrics["lanczos_psnr"] > 10
    assert upscale(UpscaleConfig((tmp_path / "data" / "0.png",), tmp_path / "up.png", str(path)))
