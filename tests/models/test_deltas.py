"""Models as what they differ by from another."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.torch
import torch

from ganlib.__main__ import main
from ganlib.base.errors import CheckpointError
from ganlib.latents.recipes import Recipe
from ganlib.models.checkpoints import load_generator, read_card, save_snapshot
from ganlib.models.deltas import KEY, is_delta, restore_delta, save_delta
from ganlib.networks import tiny_generator
from ganlib.render.renderer import Renderer


@pytest.fixture
def pair(tmp_path):
    """A model, one tuned from it, and the delta."""
    (tmp_path / "checkpoints").mkdir()
    parent = save_snapshot(tmp_path / "checkpoints" / "parent.safetensors", G_ema=tiny_generator(seed=1), title="P",
                           licence="CC-BY-4.0")  # fmt: skip
    G = load_generator(parent.path)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in G.named_parameters():
            if name.startswith("synthesis"):
                weight += 0.05 * torch.randn(weight.shape, generator=rng)
    tuned = save_snapshot(tmp_path / "tuned.safetensors", G_ema=G, title="P, tuned", licence="CC-BY-4.0", data="d")
    return parent, tuned, save_delta(tmp_path / "tuned-delta.safetensors", tuned, parent)


def test_a_delta_is_small_and_gives_the_same_pictures(pair, tmp_path):
    parent, tuned, delta = pair
    assert is_delta(delta) and not is_delta(tuned.path) and not is_delta(tmp_path / "none")
    assert delta.stat().st_size < tuned.path.stat().st_size / 2
    card = restore_delta(delta, tmp_path / "checkpoints", tmp_path / "checkpoints" / "again.safetensors")
    assert (card.title, card.licence, card.data) == ("P, tuned", "CC-BY-4.0", "d")
    assert card.parents[0]["digest"] == parent.digest
    recipes = [Recipe.of_seed(seed) for seed in range(4)]
    plain, wanted, found = (
        Renderer.open(path, device="cpu").render(recipes).astype(int) for path in (parent.path, tuned.path, card.path)
    )
    assert np.abs(wanted - plain).mean() > 5
    assert np.abs(found - wanted).mean() < 0.5 and np.abs(found - wanted).max() <= 4


def test_import_makes_the_model_of_a_delta(pair, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["import", "tuned-delta.safetensors"]) == 0
    assert "made anew from P" in capsys.readouterr().out
    assert read_card(tmp_path / "checkpoints" / "tuned-delta.safetensors").title == "P, tuned"
    assert main(["import", "tuned-delta.safetensors"]) != 0
    assert "is there already" in capsys.readouterr().err


def test_odd_deltas_are_refused(pair, tmp_path):
    parent, _, delta = pair
    dest = tmp_path / "new.safetensors"
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="which is not in") as caught:
        restore_delta(delta, tmp_path / "empty", dest)
    assert parent.digest[:12] in caught.value.hint
    other = save_snapshot(tmp_path / "other.safetensors", G_ema=tiny_generator(seed=1, resolution=32))
    with pytest.raises(CheckpointError, match="other tensors"):
        save_delta(tmp_path / "d.safetensors", other, parent)
    about = {"format": 1, "parent": {"digest": parent.digest}}
    wrong = tmp_path / "wrong.safetensors"
    for tensors, header in (
        ({"nothing": torch.zeros(3, dtype=torch.int8), "nothing.scale": torch.ones(1)}, about),
        ({"mapping.w_avg": torch.zeros(999, dtype=torch.int8), "mapping.w_avg.scale": torch.ones(1)}, about),
        ({"mapping.w_avg": torch.zeros(1)}, about),
        ({}, about | {"format": 9}),
        ({}, {"format": 1}),
        ({}, {"format": 1, "parent": []}),
    ):
        safetensors.torch.save_file(tensors, wrong, metadata={KEY: json.dumps(header)})
        with pytest.raises(CheckpointError):
            restore_delta(wrong, tmp_path / "checkpoints", dest)
    wrong.write_bytes(delta.read_bytes()[:-40])
    with pytest.raises(CheckpointError):
        restore_delta(wrong, tmp_path / "checkpoints", dest)
    assert not dest.exists()
