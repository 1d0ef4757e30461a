"""What `pip install` puts on a machine: its names, its requirements, and a studio that opens from an empty folder."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import socket
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from ganlib import __version__
from ganlib.media import images
from tests.browser.conftest import wait_for

REPOSITORY = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
# Asked for inside functions, where a feature that is not everybody's needs them.
OPTIONAL = {"cv2", "onnx", "onnxruntime", "onnxscript", "spandrel", "umap", "pillow_heif", "datasets", "hf_xet"}


def requirements(lines: list[str]) -> dict[str, Requirement]:
    """By their names."""
    return {found.name.lower(): found for line in lines if line.strip() for found in [Requirement(line)]}


def test_requirements_txt_and_the_package_agree():
    pinned = requirements((REPOSITORY / "requirements.txt").read_text("utf-8").splitlines())
    ranges = requirements(PROJECT["dependencies"])
    assert set(pinned) == set(ranges)
    for name, pin in pinned.items():
        for part in pin.specifier:
            if part.operator in ("==", ">="):
                assert part.version in ranges[name].specifier, name


def test_everything_that_is_imported_is_declared():
    owners = importlib.metadata.packages_distributions()
    declared = set(requirements(PROJECT["dependencies"]))
    missing = set()
    for path in [*(REPOSITORY / "ganlib").rglob("*.py"), *(REPOSITORY / "pages").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            known = {"ganlib", "pages", *OPTIONAL, *sys.stdlib_module_names}
            for top in {name.split(".")[0] for name in names} - known:
                if not {owner.lower().replace("_", "-") for owner in owners.get(top, ())} & declared:
                    missing.add(f"{path.relative_to(REPOSITORY)}: {top}")
    assert missing == set()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # hatchling is among the requirements of the tests: nothing is fetched.
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", str(folder), str(REPOSITORY)], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def scripts(wheel, tmp_path_factory) -> Path:
    """The folder with the programs of a fresh environment in which the wheel is installed.

    The package's requirements are those of the tests' own environment: they are gigabytes."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (site / "requirements.pth").write_text(sysconfig.get_path("purelib"))
    programs = folder / "bin"
    install = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "--quiet", "--no-deps"]
    subprocess.run([*install, "--no-index", str(wheel)], check=True, capture_output=True)
    return programs


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """As a newcomer's: nothing of the studio is set, and the home is empty."""
    (tmp_path / "home").mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ATELIER_", "GANLIB_", "PYTHON"))}
    return kept | {"HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}


def test_the_wheel_has_two_names_at_its_top_and_all_files(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    information = f"latent_atelier-{__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"ganlib", "latent_atelier", information}
    tracked = subprocess.run(
        ["git", "ls-files", "ganlib", "pages", "checkpoints", "app.py", ".streamlit"], cwd=REPOSITORY, check=False,
        capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    if not tracked:
        pytest.skip("not a git checkout")
    assert set(names) >= {name if name.startswith("ganlib/") else f"latent_atelier/{name}" for name in tracked}


def test_an_installed_studio_makes_a_picture_from_an_empty_folder(scripts, environment, tmp_path):
    (tmp_path / "empty").mkdir()

    def ganlib(*words: str) -> str:
        done = subprocess.run(
            [scripts / "ganlib", *words], cwd=tmp_path / "empty", env=environment, check=False, capture_output=True,
            text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert ganlib("--version").strip() == f"ganlib {__version__}"
    assert re.search(r"\bimpressions\b", ganlib("models"))
    ganlib("generate", "--network", "fruit", "--seeds", "85", "--outdir", "out")
    (picture,) = (tmp_path / "empty" / "out").glob("*.png")
    assert images.decode(picture.read_bytes()).shape == (64, 64, 3)
    assert list(Path(environment["HOME"]).iterdir()) == []


def test_the_studio_opens_a_workspace_in_ones_home(scripts, environment, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "empty").mkdir()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [scripts / "latent-atelier", "--no-browser", "--port", str(port)], cwd=tmp_path / "empty",
            env=environment, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            wait_for(f"http://127.0.0.1:{port}/_stcore/health", process, tmp_path / "log")
        finally:
            process.terminate()
            process.wait(timeout=20)
        with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
            probe.connect(("127.0.0.1", port))  # nothing goes on behind the program
    home = Path(environment["HOME"]) / "latent-atelier"
    assert {path.name for path in home.iterdir()} >= {"checkpoints", "runs", "data"}
    assert (home / "checkpoints" / "fruit" / "directions").is_dir()
    assert list((tmp_path / "empty").iterdir()) == []
