"""A format of films that a test adds is everywhere, though no file of the studio knows of it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from ganlib import video
from ganlib.__main__ import main
from ganlib.latents.paths import Keyframe, LatentPath
from ganlib.latents.recipes import Recipe
from ganlib.render.renderer import Renderer
from ganlib.runs import SilentReporter
from ganlib.video.muxing import Pieces, concat_options, decode_frames
from tests.commands.test_help import help_of
from tests.test_reference import reference


def write_stack(pieces: Pieces, dest: Path) -> None:
    width, height = pieces.size
    with dest.open("wb") as file:
        for frame in decode_frames(concat_options(pieces.listing), pieces.size):
            file.write(f"P6 {width} {height} 255\n".encode() + frame.tobytes())


@pytest.fixture(autouse=True)
def toy(monkeypatch) -> video.FilmFormat:
    row = video.FilmFormat("ppm-stack", "Stack of PPM", "a toy", (".ppms",), write_stack, most_fps=12)
    monkeypatch.setitem(video.FORMATS, row.name, row)
    return row


def test_a_new_format_is_in_the_help_and_in_the_reference():
    assert ".ppms" in help_of("video")
    assert "| ppm-stack | Stack of PPM | a toy | `.ppms` | no | 12 |" in reference()


def test_a_new_format_is_among_the_choices_of_the_page(repository, checkpoints):
    app = AppTest.from_file(str(repository / "pages" / "morph.py"), default_timeout=120)
    app.query_params["k"] = "seeds=1@1,seeds=2@1"
    app.query_params["format"] = "ppm-stack"
    app.run()
    assert not app.exception
    box = app.selectbox(key="format")
    assert "Stack of PPM" in box.options and box.value == "ppm-stack"


def test_a_film_is_written_in_a_new_format(tiny_model, tmp_path):
    path = LatentPath((Keyframe(Recipe.of_seed(1), 0.5), Keyframe(Recipe.of_seed(2), 0.5)))
    job = video.RenderJob(str(tiny_model), path, fps=10, size=32, format="ppm-stack")
    assert video.RenderJob.from_dict(job.to_dict()) == job
    film = video.render_video(
        job, tmp_path / "a.ppms", renderer=Renderer.open(tiny_model, device="cpu"), reporter=SilentReporter()
    )
    assert film.stat().st_size == job.num_frames * (len(b"P6 32 32 255\n") + 32 * 32 * 3)


def test_the_limits_of_a_new_format_are_kept(tiny_model, tmp_path, capsys):
    words = f"video --network {shlex.quote(str(tiny_model))} --seeds 1,2 --device cpu --out {tmp_path / 'b.ppms'}"
    assert main(shlex.split(words)) == 2
    assert "12" in capsys.readouterr().err
    assert main([*shlex.split(words), "--fps", "10", "--seconds", "0.4"]) == 0
    assert (tmp_path / "b.ppms").exists()
