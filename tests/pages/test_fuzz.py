"""No address of any page ends in an exception, opens what nobody allowed, asks another host or takes much memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.parameters import PAGES, UnknownKeyError, parameters

SEED = 17
# A few that every reader of the code finds: literal, in a loop, in a list, through a function, of a class's fields.
KNOWN = {
    "compare": {"model", "view", "data", "source", "game"},
    "datasets": {"set", "source", "step"},
    "drop": {"model", "seeds"},
    "evaluate": {"model", "run", "data", "kinds", "count", "features", "full", "mirror", "floor", "card"},
    "explore": {"model", "seeds", "base", "psi", "label", "cutoff", "mix", "edits", "noise", "noise_seed", "grain",
                "translate", "rotate", "centres"},
    "gallery": {"model", "show", "psi", "label"},
    "models": {"model", "view"},
    "morph": {"model", "k", "seconds", "fps", "curve", "loop", "size", "format", "shape", "ground", "easing", "moving",
              "even"},
    "project": {"model"},
    "train": {"run", "folder", "with", "from", "resume", "preset", "data", "kimg", "batch", "title", "metrics"},
    "upscale": {"model"},
}  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_the_parameters_of_a_page_are_derived_from_its_code(page):
    assert KNOWN[page] - set(parameters(page)) == set()


def test_a_parameter_of_unknown_name_is_no_silent_gap(monkeypatch, tmp_path):
    from tests import parameters as derived

    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "new.py").write_text("query = place.arrive()\nshow(query.get(secret()))\n")
    monkeypatch.setattr(derived, "REPOSITORY", tmp_path)
    with pytest.raises(UnknownKeyError, match="secret"):
        parameters("new")


def test_hostile_addresses_are_answered_in_words(tmp_path, repository):
    argv = [sys.executable, "-m", "tests.fuzzing", str(tmp_path), "--seed", str(SEED)]
    done = subprocess.run(argv, cwd=repository, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True,
                          text=True, timeout=600)  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    wrong = json.loads(done.stdout.splitlines()[-1])
    assert wrong == [], f"{len(wrong)} addresses; the first:\n{wrong[0]}"
