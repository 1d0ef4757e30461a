"""A Hub on this computer, and folders of its own for everything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from standin import StandIn, serving

from ganlib import networks
from ganlib.models.hub import transfer


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """An empty working directory: no token, no cache, no network but this computer's."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GANLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_STORED_TOKENS_PATH", str(tmp_path / "tokens"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.001)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path


@pytest.fixture
def hub_server(place, monkeypatch) -> Iterator[StandIn]:
    """A stand-in for the Hub, and the client pointed at it."""
    from huggingface_hub import utils

    with serving() as state:
        monkeypatch.setenv("HF_ENDPOINT", state.base)
        yield state
        getattr(utils, "close_session", lambda: None)()  # of newer clients


@pytest.fixture(scope="session")
def foreign_file(tmp_path_factory) -> bytes:
    """A generator as another tool keeps it: a state dict, saved by torch."""
    spec = networks.architecture("stylegan2").make_spec(
        resolution=16, z_dim=8, w_dim=8, channel_base=64, channel_max=6, mapping_layers=2
    )
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("foreign") / "model.pt"
    torch.save(networks.build_generator(spec).state_dict(), path)
    return path.read_bytes()
