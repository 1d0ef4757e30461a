"""Models on disk: round trip, headers only, and files that are none."""

import json
import struct

import pytest
import safetensors.torch
import torch

from ganlib import checkpoints, networks
from ganlib.errors import CheckpointError, InputError


@pytest.fixture
def saved(tmp_path):
    G = networks.tiny_generator(seed=3)
    D = networks.build_discriminator(G.spec)
    card = checkpoints.save_snapshot(
        tmp_path / "plum.safetensors", G_ema=G, D=D, kimg=12.5, title="Plum", source="test", licence="CC0-1.0",
        data="nobody", metrics={"kid": 0.1},
    )  # fmt: skip
    return G, D, card


def test_a_model_comes_back_as_it_was(saved):
    G, D, card = saved
    assert (card.kimg, card.title, card.licence, card.metrics) == (12.5, "Plum", "CC0-1.0", {"kid": 0.1})
    assert card.has_discriminator
    assert card.name == "plum"
    assert card.folder == card.path.parent / "plum"
    w_plus = torch.randn(1, G.spec.num_ws, G.spec.w_dim)
    loaded = checkpoints.load_generator(card.path)
    with torch.no_grad():
        assert torch.equal(loaded.synthesis(w_plus), G.synthesis(w_plus))
        image = torch.randn(2, 3, 16, 16)
        assert torch.equal(checkpoints.load_discriminator(card.path)(image), D(image))
    assert not any(p.requires_grad or p.is_meta for p in loaded.parameters())
    assert not any(b.is_meta for b in loaded.buffers())


def test_half_precision_halves_the_file_and_loads_as_float32(saved, tmp_path):
    G, D, card = saved
    half = checkpoints.save_snapshot(tmp_path / "half.safetensors", G_ema=G, D=D, half=True)
    assert half.bytes < 0.6 * card.bytes
    assert half.digest != card.digest
    loaded = checkpoints.load_generator(half.path)
    assert all(p.dtype == torch.float32 for p in loaded.parameters())
    with torch.no_grad():
        w = torch.randn(1, G.spec.num_ws, G.spec.w_dim)
        assert (loaded.synthesis(w) - G.synthesis(w)).abs().max() < 0.05


def test_the_digest_depends_on_weights_alone(saved, tmp_path):
    G, D, card = saved
    again = checkpoints.save_snapshot(tmp_path / "again.safetensors", G_ema=G, D=D, title="Other")
    assert again.digest == card.digest
    with torch.no_grad():
        G.w_avg[0] += 1
    assert checkpoints.save_snapshot(tmp_path / "moved.safetensors", G_ema=G, D=D).digest != card.digest


def test_listing_reads_headers_and_names_what_is_no_model(saved, tmp_path):
    (tmp_path / "text.safetensors").write_text("hello")
    (tmp_path / ".half-written.safetensors").write_text("")
    (tmp_path / "other.txt").write_text("ignored")
    good, bad = checkpoints.list_checkpoints(tmp_path)
    assert [c.name for c in good] == ["plum"]
    assert len(bad) == 1
    assert "text.safetensors" in bad[0].message
    assert checkpoints.list_checkpoints(tmp_path / "absent") == ([], [])


def test_find_checkpoint_takes_names_and_paths(saved, tmp_path):
    path = saved[2].path
    assert checkpoints.find_checkpoint("plum", tmp_path) == path
    assert checkpoints.find_checkpoint("plum.safetensors", tmp_path) == path
    assert checkpoints.find_checkpoint(str(path)) == path
    assert checkpoints.find_checkpoint(str(path.with_suffix(""))) == path
    with pytest.raises(CheckpointError) as error:
        checkpoints.find_checkpoint("pear", tmp_path)
    assert "plum" in error.value.hint


def test_truncation_at_every_tenth_byte_is_refused(saved, tmp_path):
    data = saved[2].path.read_bytes()
    cut = tmp_path / "cut.safetensors"
    for end in sorted({*range(0, 400, 10), *range(0, len(data), len(data) // 40), len(data) - 1}):
        cut.write_bytes(data[:end])
        with pytest.raises(CheckpointError) as error:
            checkpoints.read_card(cut)
        assert error.value.hint


def test_an_altered_weight_is_noticed(saved, tmp_path):
    data = bytearray(saved[2].path.read_bytes())
    data[-5] ^= 0x40
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match="digest"):
        checkpoints.load_generator(bad)


def raw_file(path, header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


@pytest.mark.parametrize(
    "header",
    [b"[]", b"{", b"null", b"[" * 100_000, {"a": 1}, {"a": {"data_offsets": [0]}}, {"a": {"data_offsets": [0, "x"]}},
     {}, {"__metadata__": []}, {"__metadata__": {"latent-atelier": 5}}, {"__metadata__": {"latent-atelier": "{"}},
     {"__metadata__": {"latent-atelier": "[]"}}, {"__metadata__": {"latent-atelier": json.dumps({"format": 99})}},
     {"__metadata__": {"latent-atelier": json.dumps({"format": 1, "spec": {"arch": "stylegan2"}})}},
     {"__metadata__": {"latent-atelier": json.dumps({"format": 1, "kimg": "many", "spec": None})}},
     {"__metadata__": {"latent-atelier": json.dumps({"format": 1, "kimg": 10**400, "spec": None})}}],
)  # fmt: skip
def test_hostile_headers_end_in_a_clear_error(tmp_path, header):
    with pytest.raises(CheckpointError) as error:
        checkpoints.read_card(raw_file(tmp_path / "x.safetensors", header))
    assert error.value.hint


def test_a_header_longer_than_the_file_is_not_read(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    with pytest.raises(CheckpointError):
        checkpoints.read_card(path)


def test_a_foreign_safetensors_file_is_named_as_such(tmp_path):
    path = tmp_path / "x.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="another program"):
        checkpoints.read_card(path)


def test_a_spec_that_does_not_fit_its_tensors_is_refused(saved, tmp_path):
    G, _, _ = saved
    wrong = networks.tiny_generator(resolution=32)
    wrong.spec = G.spec
    path = tmp_path / "wrong.safetensors"
    checkpoints.save_snapshot(path, G_ema=wrong)
    with pytest.raises(CheckpointError, match="disagree"):
        checkpoints.load_generator(path)
    with pytest.raises(InputError, match="no discriminator"):
        checkpoints.load_discriminator(path)


def test_weights_that_are_not_finite_are_not_saved(saved, tmp_path):
    G, _, card = saved
    with torch.no_grad():
        next(G.parameters())[0] = float("nan")
    with pytest.raises(CheckpointError, match="not finite"):
        checkpoints.save_snapshot(card.path, G_ema=G)
    assert checkpoints.read_card(card.path).digest == card.digest
