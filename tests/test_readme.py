"""What the README says is so: its commands parse, the cheap ones run, its links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ganlib.__main__ import build_parser, main

REPOSITORY = Path(__file__).resolve().parents[1]
TEXT = (REPOSITORY / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
VERBS = [shlex.split(line)[3:] for line in COMMANDS if line.startswith("python -m ganlib ")]
MODEL = "fruit"


@pytest.fixture
def studio(tmp_path, monkeypatch, tiny_model) -> Path:
    """A working directory with the bundled model in checkpoints/, or a tiny one of that name where it is absent."""
    bundled = REPOSITORY / "checkpoints" / f"{MODEL}.safetensors"
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(bundled if bundled.exists() else tiny_model, tmp_path / "checkpoints" / bundled.name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_readme_names_the_two_commands():
    assert COMMANDS[:2] == ["make app", "make test"]
    assert VERBS


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_every_command_parses(words):
    build_parser(words[0]).parse_args(words)


@pytest.mark.parametrize("words", [w for w in VERBS if w[0] in ("models", "generate", "video")], ids=" ".join)
def test_the_cheap_commands_run(studio, words, capsys):
    assert main(words) == 0
    out = capsys.readouterr().out
    assert MODEL in out if words[0] == "models" else list((studio / "out").iterdir())


def test_the_python_example_writes_its_picture(studio):
    (script,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    subprocess.run(
        [sys.executable, "-c", script], cwd=studio, env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, check=True
    )
    assert (studio / "seed0085.png").stat().st_size > 100


def test_make_targets_exist():
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for line in COMMANDS:
        for target in re.findall(r"\bmake (\w+)", line):
            assert f"\n{target}:" in makefile, target


def test_every_link_to_a_file_leads_to_one():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", TEXT) if "://" not in link]
    assert links and [link for link in links if not (REPOSITORY / link).exists()] == []
