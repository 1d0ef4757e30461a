"""The Models page without a browser: cards, rights, import with its report, renaming, deleting."""

from __future__ import annotations

import pickle
import shutil
import time
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

from ganlib import runs
from ganlib.models.checkpoints import Checkpoint, change_card, list_checkpoints, load_generator, read_card
from pages._ui.models import contact_sheet, shelf


def open_page(repository: Path, **query: str) -> AppTest:
    app = AppTest.from_file(str(repository / "pages" / "models.py"), default_timeout=120)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def shown(app: AppTest) -> str:
    assert not app.exception, app.exception
    texts = (*app.markdown, *app.caption, *app.subheader, *app.success, *app.error, *app.warning)
    return " | ".join(element.value for element in texts).replace("\\", "")


def finish(root: Path, verb: str) -> runs.RunDir:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        run = runs.list_runs(root, verb=verb)[0]
        if run.state not in ("queued", "running"):
            return run
        time.sleep(0.2)
    raise AssertionError(f"{verb} took too long")


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        import os

        return os.system, ("echo ran > ran.txt",)


# --- what is here -----------------------------------------------------------------------------------------------------


def test_every_model_has_a_card_with_its_rights_and_a_sheet_kept_beside_it(repository, checkpoints):
    (model,), _ = list_checkpoints(checkpoints)
    change_card(model.path, licence="CC-BY-NC-4.0")
    app = open_page(repository)
    assert model.title in shown(app) and "not for sale" in shown(app)
    sheets = list(model.folder.glob("sheet-*.webp"))
    assert len(sheets) == 1 and model.digest[:12] in sheets[0].name


def test_sheets_that_take_long_are_made_one_after_the_other(repository, checkpoints, monkeypatch):
    (model,), _ = list_checkpoints(checkpoints)
    for name in ("b", "c"):
        shutil.copy(model.path, checkpoints / f"{name}.safetensors")

    def slow(card: Checkpoint, *, may_make: bool) -> bytes | None:
        time.sleep(0.3 if may_make and not contact_sheet.path_of(card).exists() else 0)
        return contact_sheet.sheet(card, may_make=may_make)

    monkeypatch.setattr(shelf, "sheet", slow)
    monkeypatch.setattr(shelf, "SECONDS", 0.2)
    app = open_page(repository)
    assert not app.exception and "making its pictures" not in shown(app)
    assert len(list(checkpoints.glob("*/sheet-*.webp"))) == 3


def test_a_damaged_file_is_told_and_the_others_stay(repository, checkpoints):
    (checkpoints / "torn.safetensors").write_bytes(b"\x10")
    app = open_page(repository)
    assert len(app.error) == 1 and "torn" in app.error[0].value
    assert any(button.key.startswith("about-") for button in app.button)


def test_a_studio_without_models_says_what_to_do(repository, checkpoints):
    for path in checkpoints.glob("*.safetensors"):
        path.unlink()
    assert "No model yet" in shown(open_page(repository))


def test_a_blend_without_relatives_says_how_to_make_one(repository, checkpoints):
    app = open_page(repository, view="blend")
    assert "no two models of one family" in shown(app) and app.button[0].label == "Train on from Tiny"


def test_the_view_of_a_model_states_facts_and_rights(repository, checkpoints):
    (model,), _ = list_checkpoints(checkpoints)
    change_card(model.path, licence="CC0-1.0", data="a museum; public domain", metrics={"kid": 0.125})
    app = open_page(repository, model=model.name)
    words = shown(app)
    assert "you may sell what it makes" in words and "a museum; public domain" in words
    assert model.digest[:16] in words and "0.125" in words


def test_words_are_changed_and_the_file_is_renamed_with_its_folder(repository, checkpoints):
    (model,), _ = list_checkpoints(checkpoints)
    model.folder.mkdir()
    (model.folder / "favourites.json").write_text('{"favourites": []}')
    app = open_page(repository, model=model.name)
    app.text_input[0].set_value("Damson [plum]")
    app.text_input[1].set_value("damson")
    app.button(key=f"FormSubmitter:words-{model.name}-Save").click().run()
    card = read_card(checkpoints / "damson.safetensors")
    assert card.title == "Damson [plum]" and (card.folder / "favourites.json").exists()
    assert "Damson [plum]" in shown(app)
    app.text_input[1].set_value("../out")
    app.button(key="FormSubmitter:words-damson-Save").click().run()
    assert "no name of a model" in shown(app) and card.path.exists()


def test_a_model_is_deleted_only_by_the_second_button(repository, checkpoints):
    (model,), _ = list_checkpoints(checkpoints)
    app = open_page(repository, model=model.name)
    app.button(key="delete").click().run()
    assert not model.path.exists() and not model.folder.exists()
    assert "is deleted" in shown(app)


@pytest.mark.parametrize("name", ["absent", "../../etc/passwd", "a/b", "x" * 300])
def test_a_link_to_a_model_that_is_not_there_is_told(repository, checkpoints, name):
    app = open_page(repository, model=name)
    assert "there is no model" in shown(app).lower()
    app.button(key="all-models").click().run()
    assert any(button.key.startswith("about-") for button in app.button)


# --- what comes in ----------------------------------------------------------------------------------------------------


def test_a_model_of_another_tool_is_imported_with_its_report(repository, checkpoints, tmp_path):
    (model,), _ = list_checkpoints(checkpoints)
    file = tmp_path / "network-snapshot-000200.pt"
    torch.save(load_generator(model.path).state_dict(), file)
    app = open_page(repository, view="import")
    app.text_input(key="import-path").set_value(str(file)).run()
    app.text_input(key=f"import-title-{file}").set_value("A *friend's*")
    app.selectbox(key=f"import-licence-{file}").set_value("CC-BY-4.0")
    app.button(key="import-start").click().run()
    run = finish(tmp_path / "runs", "import")
    assert run.state == "done", run.log_tail()
    app = open_page(repository, view="import")
    assert "Harmless" in shown(app)
    card = read_card(checkpoints / "A-friend-s.safetensors")
    assert (card.title, card.licence) == ("A *friend's*", "CC-BY-4.0")
    assert file.exists()  # it is a person's own, and stays


def test_a_hostile_file_is_refused_and_its_report_says_why(repository, checkpoints, tmp_path):
    file = tmp_path / "free-model.pkl"
    file.write_bytes(pickle.dumps({"G_ema": Evil()}))
    app = open_page(repository, view="import")
    app.text_input(key="import-path").set_value(str(file)).run()
    app.button(key="import-start").click().run()
    assert finish(tmp_path / "runs", "import").state == "failed"
    app = open_page(repository, view="import")
    assert "Refused" in shown(app) and "posix.system" in shown(app)
    assert not list(Path().glob("ran.txt")) and len(list(checkpoints.glob("*.safetensors"))) == 1


def test_a_path_that_names_nothing_is_told(repository, checkpoints):
    app = open_page(repository, view="import")
    app.text_input(key="import-path").set_value("/nowhere/at/all.pkl").run()
    app.button(key="import-start").click().run()
    assert "there is no file" in shown(app).lower()
