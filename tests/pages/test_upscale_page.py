"""The Upscale page without a browser: what is enlarged, by which model, the job, and what came of it."""

from __future__ import annotations

import io
import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

from ganlib import runs
from ganlib.latents.favourites import add_favourite
from ganlib.latents.recipes import Recipe, parse_embedded
from ganlib.media.images import encode, read_recipe_text, resize
from ganlib.models.checkpoints import list_checkpoints
from ganlib.superres import models_folder
from ganlib.superres.networks import NetworkSpec, build
from pages._ui.common.jobs import folder_zip
from tests.pages.conftest import snippets


class Evil:
    def __reduce__(self):
        return os.system, ("echo ran > ran.txt",)


EVIL = b"PK\x03\x04" + pickle.dumps(Evil())


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GANLIB_CACHE", str(tmp_path / "cache"))


def picture(seed: int = 0) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return encode(resize(noise, 48, 32))


def open_page(repository: Path) -> AppTest:
    return AppTest.from_file(str(repository / "pages" / "upscale.py"), default_timeout=180).run()


def shown(app: AppTest) -> str:
    assert not app.exception, app.exception
    texts = (*app.markdown, *app.caption, *app.error, *app.warning, *snippets(app))
    return " | ".join(element.value for element in texts).replace("\\", "")


def finish(root: Path) -> runs.RunDir:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        run = runs.list_runs(root, verb="upscale")[0]
        if run.state not in ("queued", "running"):
            return run
        time.sleep(0.3)
    raise AssertionError("it took too long")


def start_of(app: AppTest):
    return app.button(key="upscale-start")


def test_it_teaches_first_and_upscales_what_is_uploaded(repository, checkpoints, tmp_path):
    app = open_page(repository)
    assert "fills a stamp" in shown(app) and start_of(app).disabled
    files = [("a é.png", picture(), "image/png"), ("b.png", picture(1), "image/png"), ("bad.png", b"no", "image/png")]
    app.file_uploader(key="upscale-upload").set_value(files).run()
    assert "bad.png is not a picture" in shown(app) and start_of(app).label.startswith("Enlarge, about")
    app.segmented_control(key="upscale-scale").set_value("2").run()
    assert "--scale 2" in shown(app)
    start_of(app).click().run()
    run = finish(tmp_path / "runs")
    assert run.state == "done", run.log_tail()
    assert run.name == "2 files" and [path.name for path in run.artefacts] == ["a-é.png", "b.png"]
    with Image.open(run.artefacts[0]) as made:
        assert made.size == (96, 64)
    app = open_page(repository)
    assert "2 files" in shown(app) and len(app.get("download_button")) == 2
    assert folder_zip(run.path / "out")[:2] == b"PK"
    app.button(key=f"remove-{run.path.name}").click().run()
    assert "fills a stamp" in shown(app) and not run.path.exists()


def test_the_page_says_where_sixteen_bits_became_eight(repository, checkpoints, tmp_path):
    app = open_page(repository)
    out = io.BytesIO()
    Image.fromarray((np.arange(256, dtype=np.uint16) * 200).reshape(16, 16)).save(out, "PNG")
    app.file_uploader(key="upscale-upload").set_value([("deep.png", out.getvalue(), "image/png")]).run()
    start_of(app).click().run()
    assert finish(tmp_path / "runs").state == "done"
    assert "deep.png: it has 16 bits for each colour, and the result 8" in shown(open_page(repository))


def test_favourites_are_made_and_enlarged_with_their_recipe(repository, checkpoints, tmp_path):
    (model,), _ = list_checkpoints(checkpoints)
    recipe = Recipe.of_seed(5, psi=0.6)
    app = open_page(repository)
    app.segmented_control(key="upscale-way").set_value("Favourites").run()
    assert "Nothing kept yet" in shown(app)
    add_favourite(model.folder, recipe)
    app.run()
    app.segmented_control(key="upscale-scale").set_value("size").run()
    app.text_input(key="upscale-size").set_value("100x").run()
    start_of(app).click().run()
    run = finish(tmp_path / "runs")
    (made,) = run.artefacts
    found, digest, _ = parse_embedded(read_recipe_text(made.read_bytes()) or "")
    with Image.open(made) as file:
        assert file.size == (100, 100) and found == recipe and digest == model.digest


@pytest.mark.parametrize("way, words", [("Films made here", "No film yet"), ("A folder", "A folder, picture")])
def test_other_ways_say_what_they_are_for(repository, checkpoints, way, words):
    app = open_page(repository)
    app.segmented_control(key="upscale-way").set_value(way).run()
    labels = " | ".join(field.label for field in app.text_input)
    assert words in shown(app) + labels and start_of(app).disabled


def test_a_folder_and_sizes_that_are_not_possible_are_told(repository, checkpoints, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    app = open_page(repository)
    app.segmented_control(key="upscale-way").set_value("A folder").run()
    app.text_input(key="upscale-path").set_value(str(tmp_path / "nowhere")).run()
    assert "There is no" in shown(app)
    app.text_input(key="upscale-path").set_value(str(folder)).run()
    assert "holds no pictures" in shown(app)
    (folder / "a.png").write_bytes(picture())
    (folder / "bad.png").write_bytes(b"no")
    app.text_input(key="upscale-path").set_value(f"{folder}/").run()
    assert "2 files" in shown(app) and not start_of(app).disabled
    app.segmented_control(key="upscale-scale").set_value("size").run()
    app.text_input(key="upscale-size").set_value("10x10").run()
    assert "fewer than the picture has" in shown(app) and start_of(app).disabled


def test_models_tell_their_licence_and_ones_own_can_be_used(repository, checkpoints):
    app = open_page(repository)
    assert "CC0-1.0" in shown(app)
    app.selectbox(key="upscale-model").set_value("realesr-general-x4v3").run()
    assert "BSD-3-Clause" in shown(app) and "sha256" in shown(app)
    assert app.button(key="upscale-fetch").label == "Download, 5 MB" and start_of(app).disabled
    app = open_page(repository)
    for name, data, words in (("evil <b>.pth", EVIL, "evil"), ("page.pth", b"<p>no", "a page of the web")):
        app.file_uploader(key="upscale-own").set_value((name, data, "application/octet-stream")).run()
        app.button(key="upscale-keep").click().run()
        assert words in shown(app) and list(models_folder().glob("*")) == []
    good = io.BytesIO()
    torch.save(build(NetworkSpec("srvgg", 4, 4, 1)).state_dict(), good)
    app.file_uploader(key="upscale-own").set_value(("my own.pth", good.getvalue(), "application/octet-stream")).run()
    app.button(key="upscale-keep").click().run()
    assert (models_folder() / "my-own.pth").is_file()
    assert app.selectbox(key="upscale-model").value == "my-own" and "Licence unknown" in shown(app)
    assert not Path("ran.txt").exists()
