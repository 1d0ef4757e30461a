"""Options that a file nests: Python compares and prints shared tuples without end, so they are never compared."""

from __future__ import annotations

import foreign_files as files
import pytest
import torch

from ganlib.base.errors import CheckpointError
from ganlib.models.foreign import open_foreign


def folded(depth):
    """A tuple of 2^depth leaves that takes a few bytes in a file."""
    value = ()
    for _ in range(depth):
        value = (value, value)
    return value


def deep(depth):
    value = ()
    for _ in range(depth):
        value = (value,)
    return value


@pytest.mark.parametrize("name", ["nonlinearity", "use_noise", "mapping_lrmul", "resolution", "conv_clamp"])
def test_a_folded_option_ends_at_once(tmp_path, name):
    G, D = files.tiny()
    path = tmp_path / "model.pkl"
    path.write_bytes(files.pickled(files.tf_networks(G, D, **{name: folded(60)})))
    with pytest.raises(CheckpointError, match=name) as caught:
        open_foreign(path)
    assert caught.value.hint


def test_two_folded_sides_are_never_compared(tmp_path):
    G, D = files.tiny()
    path = tmp_path / "model.pkl"
    path.write_bytes(files.pickled(files.tf_networks(G, D, resolution_h=folded(60), resolution_w=folded(61))))
    with pytest.raises(CheckpointError, match="resolution_"):
        open_foreign(path)


def test_an_option_nested_deeper_than_pythons_stack_ends_in_words(tmp_path):
    text = b"\x80\x02)" + b"\x85" * 5000 + b"."
    assert len(text) < 6000
    path = tmp_path / "model.pkl"
    path.write_bytes(text)
    with pytest.raises(CheckpointError):
        open_foreign(path)


def test_axes_of_an_array_are_numbers(tmp_path):
    protocol_5 = b"\x80\x05\x8c\x13numpy._core.numeric\x8c\x0b_frombuffer\x93"
    dtype = b"\x8c\x05numpy\x8c\x05dtype\x93\x8c\x02f4\x85R"
    fold = b")" + b"2\x86" * 60
    path = tmp_path / "model.pkl"
    path.write_bytes(protocol_5 + b"(C\x04abcd" + dtype + b"K\x01\x85\x8c\x01K" + fold + b"\x85tR.")
    with pytest.raises(CheckpointError, match="unknown way"):
        open_foreign(path)


@pytest.mark.parametrize("shape", [(), (1,), (2, 2), (1, 1, 1), (0,), (1, 1, 1, 1, 1)])
def test_a_tensor_of_any_shape_in_any_place_ends_in_words(tmp_path, shape):
    G, D = files.tiny()
    table = files.rosinality(G, D)
    path = tmp_path / "model.pt"
    for name in ("input.input", "conv1.conv.weight", "style.1.weight", "to_rgb1.bias", "noises.noise_0"):
        changed = {**table, "g_ema": {**table["g_ema"], name: torch.ones(shape)}}
        torch.save(changed, path)
        with pytest.raises(CheckpointError) as caught:
            open_foreign(path)
        assert caught.value.hint
