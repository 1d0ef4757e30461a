"""Animated GIF, WebP and PNG through an upscaling network."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganlib import video
from ganlib.base.errors import DataError, InputError
from ganlib.media import images
from ganlib.runs import SilentReporter, Stopped
from ganlib.superres import UpscaleConfig, upscale
from ganlib.superres.networks import NetworkSpec
from ganlib.superres.training import start_network
from ganlib.superres.weights import Card, save
from tests.video.films import QUIET, job_of

DURATIONS = [100, 250, 40, 70]
KINDS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".apng": "PNG"}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    spec = NetworkSpec("srvgg", 4, 4, 1)
    path = tmp_path_factory.mktemp("model") / "little.safetensors"
    return str(save(path, spec, start_network(spec, 0), Card("Little", "CC0-1.0")))


def moving(path: Path, *, loop: int | None = 0, is_clear: bool = True) -> Path:
    """A red square that wanders over nothing."""
    frames = []
    for number in range(len(DURATIONS)):
        pixels = np.zeros((13, 18, 4), np.uint8)
        pixels[..., 3] = 0 if is_clear else 255
        pixels[3:9, 2 + 3 * number : 8 + 3 * number] = (220, 30, 20, 255)
        frames.append(Image.fromarray(pixels))
    options = {} if loop is None else {"loop": loop}
    if path.suffix == ".webp":
        options["lossless"] = True
    elif path.suffix == ".gif":
        options["disposal"] = 2
    frames[0].save(path, KINDS[path.suffix], save_all=True, append_images=frames[1:], duration=DURATIONS, **options)
    return path


def shown(path: Path) -> tuple[list[np.ndarray], list[int], int | None]:
    """Frames RGBA, milliseconds, and the loop as the file has it."""
    frames, seconds = [], []
    with Image.open(path) as file:
        for number in range(file.n_frames):
            file.seek(number)
            frames.append(np.asarray(file.convert("RGBA")))
            seconds.append(round(file.info["duration"]))
        return frames, seconds, file.info.get("loop")


@pytest.mark.parametrize("suffix", list(KINDS))
@pytest.mark.parametrize("loop", [0, 3, None])
def test_an_animation_keeps_frames_durations_loops_and_transparency(model, tmp_path, suffix, loop):
    source = moving(tmp_path / f"a{suffix}", loop=loop)
    (row,) = upscale(UpscaleConfig((source,), tmp_path / f"b{suffix}", model))
    frames, seconds, loops = shown(tmp_path / f"b{suffix}")
    before = shown(source)
    assert (row.width, row.height) == (72, 52) and len(frames) == 4 and seconds == DURATIONS and loops == before[2]
    for number, pixels in enumerate(frames):
        assert pixels.shape == (52, 72, 4)
        square = pixels[20:28, 16 + 12 * number : 24 + 12 * number]
        # Lanczos swings a little beyond an edge.
        assert square[..., 3].min() > 240 and square[..., 0].mean() > square[..., 2].mean() + 40
        assert max(pixels[:4, :, 3].max(), pixels[44:, :, 3].max()) < 16


def test_the_name_decides_the_format_and_a_gif_shown_twice_is_so_elsewhere(model, tmp_path):
    source = moving(tmp_path / "a.gif", loop=1)
    for suffix in (".webp", ".apng"):
        upscale(UpscaleConfig((source,), tmp_path / f"b{suffix}", model, scale=2))
        frames, seconds, loops = shown(tmp_path / f"b{suffix}")
        assert len(frames) == 4 and seconds == DURATIONS and loops == 2
    with pytest.raises(InputError, match="no name"):
        upscale(UpscaleConfig((moving(tmp_path / "c.webp"),), tmp_path / "d.mp4", model))


def test_animations_in_a_folder_stay_what_they_are_and_still_pictures_too(model, tmp_path):
    for suffix in KINDS:
        moving(tmp_path / f"in-{suffix[1:]}{suffix}", is_clear=False)
    Image.new("RGB", (8, 8), "red").save(tmp_path / "still.webp")
    made = upscale(UpscaleConfig((tmp_path,), tmp_path / "out", model, scale=2))
    names = {row.dest.name: images.num_frames(row.dest) for row in made}
    assert names == {"in-gif.gif": 4, "in-webp.webp": 4, "in-png.png": 4, "in-apng.apng": 4, "still.png": 1}


@pytest.mark.parametrize("kind, suffix", [("apng", ".png"), ("webp", ".webp"), ("gif", ".gif")])
def test_films_of_this_studio_stay_films_with_their_recipe(model, tmp_path, kind, suffix):
    from ganlib.networks import tiny_generator
    from ganlib.render.renderer import Renderer

    job = job_of(seeds=(1, 2), seconds=0.3, fps=10, size=16, format=kind)
    renderer = Renderer(tiny_generator(), name="tiny", digest="abc")
    film = video.render_video(job, tmp_path / f"a{suffix}", renderer=renderer, reporter=QUIET)
    upscale(UpscaleConfig((film,), tmp_path / f"b{suffix}", model))
    frames, _, loops = shown(tmp_path / f"b{suffix}")
    assert len(frames) == job.num_frames and loops == 0 and frames[0].shape == (64, 64, 4)
    assert video.read_description(tmp_path / f"b{suffix}")["video"] == video.read_description(film)["video"]


def test_a_stopped_animation_leaves_nothing_and_a_damaged_one_is_told(model, tmp_path):
    class Stopping(SilentReporter):
        seen = 0

        def progress(self, done, total, message=""):
            assert 0 <= done <= total + 1e-9
            self.seen += 1

        def should_stop(self):
            return self.seen > 2

    source = moving(tmp_path / "a.webp")
    with pytest.raises(Stopped):
        upscale(UpscaleConfig((source,), tmp_path / "b.webp", model), Stopping())
    assert [path.name for path in tmp_path.iterdir()] == ["a.webp"]
    out = BytesIO(source.read_bytes())
    whole = moving(tmp_path / "c.png").read_bytes()
    for cut in (out.getvalue()[: len(out.getvalue()) * 2 // 3], whole[: len(whole) * 2 // 3]):
        suffix = ".png" if cut.startswith(b"\x89PNG") else ".webp"
        (tmp_path / f"cut{suffix}").write_bytes(cut)
        with pytest.raises((InputError, DataError)):
            upscale(UpscaleConfig((tmp_path / f"cut{suffix}",), tmp_path / f"d{suffix}", model))
