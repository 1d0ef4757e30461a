"""Options and fixtures shared by all tests. The default run needs neither network nor accelerator."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

# Before torch is imported, here and in the processes that tests start: tiny networks gain nothing from a second thread,
# and on a busy machine the threads wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"


# Under nohup hang-ups are ignored, and so they are by every process that tests start; some tests send them.
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--runslow", action="store_true", help="also run the tests that take minutes")


# First, because the plugin that spreads tests over processes reads the groups in this hook too.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        # A file stays in one process, which makes its fixtures once; the browser tests share a studio and a Chromium.
        group = "browser" if item.path.parent.name == "browser" else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
        if item.get_closest_marker("slow") and not config.getoption("--runslow"):
            item.add_marker(pytest.mark.skip(reason="takes minutes; run with --runslow"))
        elif item.get_closest_marker("gpu") and not has_cuda():
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder with README.md and ganlib/."""
    return REPOSITORY


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of reference vectors: ATELIER_REFERENCE, or ../shared/reference beside the repository."""
    folder = Path(os.environ.get("ATELIER_REFERENCE", REPOSITORY.parent / "shared" / "reference"))
    if not folder.is_dir():
        pytest.skip(f"no reference vectors in {folder}; ATELIER_REFERENCE names another folder")
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint file of an untrained generator that renders in milliseconds."""
    return save_tiny(tmp_path_factory.mktemp("checkpoints") / "tiny.safetensors")


@pytest.fixture(scope="session")
def tiny_labelled_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with three classes."""
    return save_tiny(tmp_path_factory.mktemp("labelled") / "tiny-labelled.safetensors", label_dim=3)


def save_tiny(path: Path, **options: object) -> Path:
    from ganlib.models.checkpoints import save_snapshot
    from ganlib.networks import tiny_generator

    save_snapshot(path, G_ema=tiny_generator(**options), title="Tiny", source="untrained", licence="CC0", data="none")
    return path
