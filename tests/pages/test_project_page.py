"""The Project page without a browser: photographs, squares, the job, the way on."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from ganlib import runs
from ganlib.media.images import encode
from ganlib.models.checkpoints import list_checkpoints
from pages._ui.project.photos import box_of, cut, keep


class Upload(io.BytesIO):
    """What a browser sends."""

    def __init__(self, name: str, data: bytes) -> None:
        super().__init__(data)
        self.name = name


def photo(seed: int = 0) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return encode(np.repeat(np.repeat(coarse, 16, axis=0), 16, axis=1))


def open_page(repository: Path) -> AppTest:
    return AppTest.from_file(str(repository / "pages" / "project.py"), default_timeout=180).run()


def shown(app: AppTest) -> str:
    assert not app.exception, app.exception
    texts = (*app.markdown, *app.caption, *app.error, *app.warning)
    return " | ".join(element.value for element in texts).replace("\\", "")


def finish(root: Path) -> runs.RunDir:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        (run,) = runs.list_runs(root, verb="project")
        if run.state not in ("queued", "running"):
            return run
        time.sleep(0.3)
    raise AssertionError("the projection took too long")


def test_uploads_are_kept_once_and_cut_to_a_square_in_the_middle(checkpoints):
    (first, again), _ = keep([Upload("a b.png", photo()), Upload("a b.png", photo())])
    assert first == again and (first.width, first.height) == (96, 64)
    assert box_of(first) == (16, 0, 64, 0)
    assert cut(first.path, (16, 0, 64, 0), 32) != cut(first.path, (0, 0, 64, 10), 32)


@pytest.mark.parametrize("data", [b"no picture", b"", photo()[:200]])
def test_what_is_no_picture_is_told(checkpoints, data):
    (good,), (problem,) = keep([Upload("x.png", data), Upload("good.png", photo())])
    assert good.name == "good.png" and problem.hint and "x.png" in problem.message


def test_a_photograph_is_projected_and_leads_to_explore(repository, checkpoints, tmp_path):
    (model,), _ = list_checkpoints(checkpoints)
    app = open_page(repository)
    assert "Bring a photograph" in shown(app)
    app.file_uploader(key="project-upload").upload("my pear é.png", photo(), "image/png").run()
    app.segmented_control(key="project-speed").set_value("draft").run()
    assert any(button.label.startswith("Start, about") for button in app.button)
    app.button(key="project-start").click().run()
    run = finish(tmp_path / "runs")
    assert run.state == "done", run.log_tail()
    app = open_page(repository)
    words = shown(app)
    assert "PSNR" in words and "sigmas from the centre" in words
    assert any(button.key.startswith("explore-") for button in app.button)
    assert list((model.folder / "w_plus").glob("my-pear*.npz"))
