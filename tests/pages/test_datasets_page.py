"""The Data sets page without a browser: uploads, findings, framing, preparation, sets that are ready."""

from __future__ import annotations

import io
import json
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from asking import agreed
from streamlit.testing.v1 import AppTest

from ganlib import runs
from ganlib.base.errors import DataError, InputError
from ganlib.dataset import Dataset
from ganlib.dataset.config import LABELS
from ganlib.dataset.figures import measure_set
from ganlib.dataset.preview import mosaic, preview
from ganlib.media.images import decode, encode
from pages._ui.datasets.choices import Cut, cut_of, decide, read_kept, read_left_out, settle
from pages._ui.datasets.intake import keep_uploads, safe_name


def open_page(repository: Path, **query: str) -> AppTest:
    app = AppTest.from_file(str(repository / "pages" / "datasets.py"), default_timeout=120)
    for key, value in query.items():
        app.query_params[key] = value
    return agreed(app.run())


def told(app: AppTest) -> str:
    assert not app.exception, app.exception
    return " | ".join(element.value for element in (*app.error, *app.warning)).replace("\\", "")


def shown(app: AppTest) -> str:
    texts = (*app.markdown, *app.caption, *app.subheader, *app.info, *app.text)
    return " | ".join(element.value for element in texts).replace("\\", "")


def picture(seed: int, side: int = 96) -> np.ndarray:
    """A smooth picture with large shapes, unlike those of other seeds."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 6, 3)).astype(np.float64)
    grid = np.linspace(0, 5, side)
    at = np.clip(np.round(grid).astype(int), 0, 5)
    return coarse[at][:, at].astype(np.uint8)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Twenty pictures, one of them twice, and a file that is none."""
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as file:
        for i in range(20):
            file.writestr(f"walls/photo {i:02d}.png", encode(picture(i)))
        file.writestr("walls/again.png", encode(picture(3)))
        file.writestr("walls/torn.jpg", b"no picture at all")
    return path


def finish(root: Path, verb: str) -> runs.RunDir:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        (run,) = runs.list_runs(root, verb=verb)
        if run.state not in ("queued", "running"):
            assert run.state == "done", run.log_tail()
            return run
        time.sleep(0.2)
    raise AssertionError(f"{verb} took too long")


# --- what comes in ----------------------------------------------------------------------------------------------------


def test_uploaded_pictures_are_kept_in_a_zip_under_their_names(tmp_path):
    data = encode(picture(0))
    files = [("a.png", io.BytesIO(data)), ("../../b.png", io.BytesIO(data)), ("a.png", io.BytesIO(data))]
    path = keep_uploads(files, tmp_path)
    assert path.parent == tmp_path and path.name == "a-and-2-more.zip"
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == ["a-2.png", "a.png", "b.png"]
        assert archive.read("b.png") == data
    assert keep_uploads(files, tmp_path) != path  # nothing is written over


def test_an_uploaded_zip_is_kept_as_it_is_and_two_are_refused(tmp_path, source):
    kept = keep_uploads([("my photos!.zip", io.BytesIO(source.read_bytes()))], tmp_path / "uploads")
    assert kept.name == "my-photos.zip" and kept.read_bytes() == source.read_bytes()
    with pytest.raises(InputError, match="one zip at a time"):
        keep_uploads([("a.zip", io.BytesIO(b"")), ("b.zip", io.BytesIO(b""))], tmp_path / "uploads")


@pytest.mark.parametrize(("text", "name"), [("../etc/passwd", "etc-passwd"), ("..", "pictures"), ("a b", "a-b")])
def test_names_of_files_are_harmless(text, name):
    assert safe_name(text) == name


# --- what a preparation would do --------------------------------------------------------------------------------------


def test_the_preview_shows_before_and_after_and_leaves_out_what_is_left_out(source):
    config = Cut(resolution=32, crop="center").config(str(source), "x.zip")
    found = preview(config, count=40, without=["walls/again.png"])
    assert len(found) == 21 and "walls/again.png" not in [one.name for one in found]
    by_name = {one.name: one for one in found}
    assert by_name["walls/photo 00.png"].words == "" and by_name["walls/torn.jpg"].words
    pair = decode(by_name["walls/photo 05.png"].pair, name="pair")
    assert pair.shape[1] == 2 * pair.shape[0]
    # The right half is the picture itself, since all of it is taken.
    right = pair[:, pair.shape[0] :].astype(int)
    whole = np.repeat(np.repeat(picture(5), 2, axis=0), 2, axis=1)[: right.shape[0], : right.shape[1]].astype(int)
    assert np.abs(right - whole).mean() < 12


def test_the_mosaic_counts_the_pictures(source, tmp_path):
    count, sheet, left_out = mosaic(source, count=10, columns=5, side=32)
    assert (count, left_out) == (22, "") and decode(sheet, name="sheet").shape == (64, 160, 3)
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as file:
        file.writestr("readme.txt", "nothing")
    with pytest.raises(DataError, match="no pictures"):
        mosaic(tmp_path / "empty.zip")


def test_figures_of_a_set(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as file:
        for i, level in enumerate((0, 100, 200)):
            file.writestr(f"img{i}.png", encode(np.full((16, 16, 3), (level, 50, 50), np.uint8)))
        labels = [["img0.png", 0], ["img1.png", 1], ["img2.png", 1]]
        file.writestr("dataset.json", json.dumps({"labels": labels}))
    figures = measure_set(Dataset.open(path))
    assert figures.count == 3 and figures.classes == {"0": 1, "1": 2}
    assert figures.brightness == pytest.approx(0.299 * 100 + 0.701 * 50) and figures.contrast == pytest.approx(0)
    assert figures.histogram[0][100 // 4] == pytest.approx(1 / 3) and figures.histogram[1][50 // 4] == pytest.approx(1)
    # Red differs by 100, 100 and 200 in one of three channels.
    assert figures.variety == pytest.approx((np.mean([100**2, 100**2, 200**2]) / 3) ** 0.5)


def test_choices_outlive_the_session(source, checkpoints):
    assert read_left_out(str(source)) is None and cut_of(str(source)) == Cut()
    suggested = {"a.png": "copy", "b.png": "blurred"}
    assert settle(str(source), suggested) == suggested == read_left_out(str(source))
    decide(str(source), suggested, leave=["c.png"], keep=["b.png"])
    assert read_left_out(str(source)) == {"a.png": "copy", "c.png": "by hand"} and list(read_kept(str(source))) == [
        "b.png"
    ]
    # Another examination suggests other pictures; what a person said stands.
    assert settle(str(source), {"b.png": "grey", "d.png": "grey"}) == {"d.png": "grey", "c.png": "by hand"}
    decide(str(source), {}, leave=["b.png"], keep=["c.png"])
    assert read_left_out(str(source)) == {"b.png": "by hand"} and list(read_kept(str(source))) == ["c.png"]
    config = Cut().config(str(source), "x.zip")
    assert Path(config.exclude).exists() and Path(config.keep).exists()


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_begins_with_an_upload_and_no_set(repository, checkpoints):
    app = open_page(repository)
    assert told(app) == "" and app.title[0].value == "Data sets"
    assert "No set yet" in shown(app)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"source": "/nowhere"}, "There is no /nowhere"),
        ({"set": "/nowhere/x.zip"}, "There is no /nowhere/x.zip"),
        ({"source": "a" * 300}, "There is no aaa"),
        ({"set": "~nosuchuser/x"}, "There is no ~nosuchuser/x"),
    ],
)
def test_a_place_that_is_not_there_is_told_with_a_way_back(repository, checkpoints, query, words):
    app = open_page(repository, **query)
    assert words in told(app) and app.button(key="all-sets")


def test_from_a_folder_to_a_set(repository, checkpoints, source, tmp_path):
    root = tmp_path / "runs"
    app = open_page(repository, source=str(source))
    assert told(app) == "" and "22 pictures" in shown(app).replace("*", "")
    next(button for button in app.button if button.label == "Look through the pictures").click().run()
    finish(root, "examine")

    app = open_page(repository, source=str(source))
    assert told(app) == "" and "22 pictures looked at" in shown(app).replace("*", "")
    out = read_left_out(str(source))
    assert out is not None and ("walls/again.png" in out) != ("walls/photo 03.png" in out)
    app.button(key="keep-all").click().run()
    assert not read_left_out(str(source))
    app.button(key="leave-all").click().run()
    copies = read_left_out(str(source))
    assert copies is not None and len(copies) == 1 and "cop" in next(iter(copies.values()))

    app = open_page(repository, source=str(source), step="framing")
    assert told(app) == ""
    next(box for box in app.selectbox if box.label == "Side of the squares").set_value(32).run()
    next(box for box in app.selectbox if box.label == "What is cut out").set_value("center").run()
    assert "20 of 12" not in shown(app) and "of 12 kept" in shown(app)

    app = open_page(repository, source=str(source), step="make")
    next(box for box in app.text_input if box.label == "Whom to credit").set_value("A. Painter").run()
    app.button(key="prepare").click().run()
    finish(root, "prepare")
    made = Dataset.open(tmp_path / "data" / "photos-32.zip")
    assert len(made) == 20 and made.resolution == 32 and made.card["credit"] == "A. Painter"
    app = open_page(repository, source=str(source), step="make")
    assert app.button(key="train-made") and "20 of 2" in shown(app)

    app = open_page(repository, set=str(made.path))
    assert told(app) == "" and "20 pictures of 32" in shown(app).replace("*", "")
    for view, words in (("Figures", "Measured on 20"), ("Card", "A. Painter")):
        app.session_state["set-view"] = view
        app.run()
        assert told(app) == "" and words in shown(app).replace("*", "")
    app = open_page(repository)
    assert app.button(key=f"open-{made.path}")


def test_a_set_tells_of_classes_without_a_picture_and_how_to_leave_them_out(repository, checkpoints, tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        for i in range(11):
            file.writestr(f"img{i:02d}.png", encode(picture(i, 16)))
        labels = [[f"img{i:02d}.png", "rare" if i == 0 else "[x](y)"] for i in range(11)]
        file.writestr("dataset.json", json.dumps({"labels": labels}))
        file.writestr("card.json", json.dumps({"classes": ["rare", "[x](y)", "none"]}))
    app = open_page(repository, set=str(tmp_path / "set.zip"))
    assert "1 of 3 classes has no picture (none): nothing can be learned there" in told(app)
    assert "“as the source has them, only those with pictures” to leave them out" in told(app)
    assert "Class [x](y) has 10 pictures and class rare 1" in told(app)
    assert f"“{LABELS['used']}” to leave them out" in told(app)


def test_a_set_that_cannot_be_opened_is_told(repository, checkpoints, source):
    app = open_page(repository, set=str(source))
    assert "torn.jpg" in told(app) and app.button(key="all-sets")


def test_broken_labels_are_told_before_the_set_is_prepared(repository, checkpoints, tmp_path):
    source = tmp_path / "data" / "in"
    source.mkdir(parents=True)
    for i in range(3):
        (source / f"{i}.png").write_bytes(encode(picture(i, 16)))
    for written, words in (
        ('{"labels": [["0.png" 1]]}', "is not readable JSON"),
        ('{"labels": [["0.png", [1, 1]]]}', "dataset.json"),
        ('{"labels": [["0.png", 0], ["1.png", 1], ["2.png", 1], ["9.png", 1]]}', "pictures that are not here"),
        ('{"labels": [["0.png", 0], ["1.png", 1], ["2.png", 1]]}', ""),
    ):
        (source / "dataset.json").write_text(written)
        seen = told(open_page(repository, source=str(source), step="make"))
        assert words in seen and bool(words) == bool(seen)
    assert not list((tmp_path / "data").glob("*.zip"))
