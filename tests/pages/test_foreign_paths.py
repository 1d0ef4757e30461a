"""Links that name paths: asked about before anything looks, and no path makes a page fail, wait or grow."""

from __future__ import annotations

import json
import os
from pathlib import Path

import hostile
import pytest
from asking import agreed, is_asked
from streamlit.testing.v1 import AppTest

from pages._ui.common import paths
from tests.pages.conftest import snippets

PARAMETERS = [
    ("datasets", "source"), ("datasets", "set"), ("compare", "data"), ("compare", "source"), ("train", "data"),
    ("train", "resume"), ("train", "folder"), ("train", "from"), ("evaluate", "data"),
]  # fmt: skip


# Of those that are tried on every command: what each is refused by, once.
KINDS = ("device", "pipe", "kernel's log", "sparse terabyte", "zip with an endless list", *hostile.FOLDERS)


def open_page(repository: Path, page: str, query: dict[str, str]) -> AppTest:
    app = AppTest.from_file(str(repository / "pages" / f"{page}.py"), default_timeout=60)
    app.session_state["is-dressed"] = True
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


@pytest.fixture
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside the workspace."""
    return tmp_path_factory.mktemp("foreign")


@pytest.fixture
def touched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every path that is asked about, opened or listed from now on."""
    seen: list[str] = []

    def spy(name: str) -> None:
        real = getattr(os, name)

        def seeing(path=".", *rest, **options):
            seen.append(str(path))
            return real(path, *rest, **options)

        monkeypatch.setattr(os, name, seeing)

    for name in ("stat", "lstat", "open", "scandir", "listdir", "readlink"):
        spy(name)
    return seen


@pytest.mark.parametrize(("page", "parameter"), PARAMETERS)
def test_a_link_asks_before_it_touches_a_path(page, parameter, repository, checkpoints, foreign, touched):
    secret = foreign / "secret.zip"
    app = open_page(repository, page, {parameter: str(secret), "preset": "quick"})
    assert not app.exception and is_asked(app)
    assert [element.value for element in snippets(app)] == [str(secret)]
    assert [path for path in touched if path.startswith(str(foreign))] == []
    app.button(key="foreign-back").click().run()
    assert not app.exception and not is_asked(app)
    assert [path for path in touched if path.startswith(str(secret))] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("page", "parameter"), PARAMETERS)
def test_no_path_makes_a_page_fail_wait_or_grow(page, parameter, kind, repository, checkpoints, foreign):
    path = hostile.make(kind, foreign)
    if path is None:
        pytest.skip(f"no {kind} on this system")
    with hostile.within_walls():
        app = agreed(open_page(repository, page, {parameter: str(path), "preset": "quick"}))
        assert not app.exception, app.exception


@pytest.mark.parametrize("path", ["/", "a\0b", "x" * 5000, "~nobody/x"])
@pytest.mark.parametrize(("page", "parameter"), PARAMETERS)
def test_odd_paths_are_survived(page, parameter, path, repository, checkpoints):
    with hostile.within_walls():
        app = agreed(open_page(repository, page, {parameter: path, "preset": "quick"}))
        assert not app.exception, app.exception


def test_what_was_agreed_to_is_not_asked_again(repository, checkpoints, foreign, tmp_path):
    query = {"source": str(foreign)}
    agreed(open_page(repository, "datasets", query))
    assert json.loads((tmp_path / "runs" / paths.FILE).read_text())["paths"] == [str(foreign)]
    assert not is_asked(open_page(repository, "datasets", query))
    assert is_asked(open_page(repository, "datasets", {"source": str(foreign.parent)}))


def test_what_was_typed_is_not_asked_again(repository, checkpoints, foreign):
    app = open_page(repository, "datasets", {})
    app.text_input(key="intake-path-text").set_value(str(foreign))
    next(button for button in app.button if button.label == "Look at it").click().run()
    assert not is_asked(app) and not is_asked(open_page(repository, "datasets", {"source": str(foreign)}))


def test_the_workspace_is_open_but_not_what_a_link_in_it_leads_to(repository, checkpoints, foreign, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "own").mkdir()
    (data / "out").symlink_to(foreign)
    assert not is_asked(open_page(repository, "datasets", {"source": str(data / "own")}))
    for path in (data / "out", data / "own" / ".." / ".." / "checkpoints2", data / "out" / "x"):
        assert is_asked(open_page(repository, "datasets", {"source": str(path)})), path


def test_the_memory_is_bounded_and_survives_damage(checkpoints, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "MOST", 3)
    for i in range(5):
        paths.remember(f"/somewhere/{i}")
    assert json.loads((tmp_path / "runs" / paths.FILE).read_text())["paths"] == [f"/somewhere/{i}" for i in (2, 3, 4)]
    (tmp_path / "runs" / paths.FILE).write_text('{"paths": 3}')
    assert not paths.is_chosen("/somewhere/else")
    paths.remember("/somewhere/else")
    assert paths.is_chosen("/somewhere/else") and paths.is_chosen("/somewhere/../somewhere/else")
