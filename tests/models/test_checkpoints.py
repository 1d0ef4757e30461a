"""Models on disk: round trip, headers only, and files that are none."""

import dataclasses
import hashlib
import json
import os
import struct
import subprocess
import sys

import pytest
import safetensors.torch
import torch

from ganlib import networks
from ganlib.base.errors import CheckpointError, InputError
from ganlib.models import checkpoints
from ganlib.networks.base import GeneratorSpec


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


def test_loading_imports_no_compiler(saved, repository):
    """It takes seconds, and a quotient of tensors on `meta` is enough to import it."""
    script = "import sys; from pathlib import Path; from ganlib.models.checkpoints import load_generator\n"
    script += "load_generator(Path(sys.argv[1]))\nassert 'torch._dynamo' not in sys.modules"
    subprocess.run([sys.executable, "-c", script, str(saved[2].path)], check=True, cwd=repository)


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


def header_of(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_card(path, dest, **changes):
    """A copy of a model file with other fields in its card."""
    header, body = header_of(path)
    card = json.loads(header["__metadata__"]["latent-atelier"])
    header["__metadata__"]["latent-atelier"] = json.dumps({**card, **changes})
    return raw_file(dest, header, body)


def test_the_digest_covers_the_spec(saved, tmp_path):
    G, _, card = saved
    digests = {card.digest}
    for name, value in (("conv_clamp", 256.0), ("resample_filter", [1, 2, 1])):
        spec = card.spec.to_dict()
        spec["params"][name] = value
        altered = with_card(card.path, tmp_path / "altered.safetensors", spec=spec)
        with pytest.raises(CheckpointError, match="digest"):
            checkpoints.load_generator(altered)
        G.spec = GeneratorSpec.from_dict(spec)
        digests.add(checkpoints.save_snapshot(tmp_path / "other.safetensors", G_ema=G).digest)
    assert len(digests) == 3


def test_a_file_of_the_first_format_opens_and_its_spec_counts_too(saved, tmp_path):
    _, _, card = saved
    weights = checkpoints.tensors_digest(safetensors.torch.load_file(card.path))
    old = with_card(card.path, tmp_path / "old.safetensors", format=1, digest=weights)
    assert checkpoints.read_card(old).digest == card.digest
    assert torch.equal(checkpoints.load_generator(old).w_avg, checkpoints.load_generator(card.path).w_avg)
    spec = {**card.spec.to_dict(), "params": {**card.spec.params, "conv_clamp": 256.0}}
    clamped = with_card(card.path, tmp_path / "clamped.safetensors", format=1, digest=weights, spec=spec)
    assert checkpoints.read_card(clamped).digest != card.digest


@pytest.mark.parametrize(
    "field, value",
    [("arch", "stylegan9"), ("arch", ["stylegan2"]), ("num_ws", 5), ("num_ws", 8), ("resolution", 17),
     ("noise_modes", "none"), ("noise_modes", []), ("truncatable", "yes"), ("params", [])],
)  # fmt: skip
def test_a_spec_of_no_model_is_refused_from_the_header(saved, tmp_path, field, value):
    spec = {**saved[2].spec.to_dict(), field: value}
    with pytest.raises(CheckpointError, match=r"x\.safetensors") as error:
        checkpoints.read_card(with_card(saved[2].path, tmp_path / "x.safetensors", spec=spec))
    assert error.value.hint and len(error.value.message) < 250


@pytest.mark.parametrize(
    "name, value",
    [("mapping_layers", 0), ("mapping_layers", 33), ("mapping_layers", 10**9), ("mapping_layers", 2.5),
     ("mapping_layers", True), ("mapping_layers", "8"), ("conv_clamp", 0), ("conv_clamp", -1), ("conv_clamp", "256"),
     ("conv_clamp", float("nan")), ("conv_clamp", float("inf")), ("resample_filter", []),
     ("resample_filter", [1] * 33), ("resample_filter", [1, -1]), ("resample_filter", [0]),
     ("resample_filter", [float("nan")]), ("resample_filter", [[1, 1], [1, 1]]), ("resample_filter", None),
     ("resample_filter", 10**9), ("channel_base", 10**30), ("channel_max", 0), ("channels", {"16": 10**9}),
     ("channels", {"16": 0}), ("channels", {"16": 4.5}), ("channels", {"7": 4}), ("channels", {"32": 4}),
     ("channels", [4]), ("D", 3), ("D", {"D_mapping_layers": 10**9}), ("D", {"mbstd_group_size": 0}),
     ("D", {"conv_clamp": "x"}), ("other", [[[[[[]]]]]]), ("other", "x" * 10**5), ("other", [0] * 10**4),
     ("num_fp16_res", -1)],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
@pytest.mark.parametrize("format", [1, 2])
def test_hostile_hyper_parameters_are_refused_from_the_header(saved, tmp_path, name, value, format):
    spec = saved[2].spec.to_dict()
    spec["params"][name] = value
    with pytest.raises(CheckpointError) as error:
        checkpoints.read_card(with_card(saved[2].path, tmp_path / "x.safetensors", spec=spec, format=format))
    assert error.value.hint and len(error.value.message) < 250


@pytest.mark.parametrize("digest", [None, 3, "", "x" * 64, "a" * 10**5])
def test_a_digest_is_64_hexadecimal_digits(saved, tmp_path, digest):
    with pytest.raises(CheckpointError, match="digest"):
        checkpoints.read_card(with_card(saved[2].path, tmp_path / "x.safetensors", digest=digest))


def test_a_pipe_named_like_a_model_is_not_waited_for(saved, tmp_path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(CheckpointError, match="no file"):
        checkpoints.read_card(tmp_path / "pipe.safetensors")
    good, bad = checkpoints.list_checkpoints(tmp_path)
    assert [card.name for card in good] == ["plum"] and bad == []


def test_a_card_tells_classes_training_and_what_is_weak(tmp_path):
    told = {"command": "python -m ganlib train --data a.zip", "hardware": "1 × CPU", "seconds": 90}
    G = networks.tiny_generator(label_dim=2)
    card = checkpoints.save_snapshot(
        tmp_path / "two.safetensors", G_ema=G, classes=("monet", "vangogh"), training=told, about="Blurred.", cover=7
    )
    assert (card.classes, card.training, card.about, card.cover) == (("monet", "vangogh"), told, "Blurred.", 7)
    assert [card.class_name(i) for i in (0, 1, 2)] == ["monet", "vangogh", "2"]
    changed = checkpoints.change_card(card.path, about="Sharp.", cover=8)
    assert (changed.about, changed.cover, changed.training, changed.digest) == ("Sharp.", 8, told, card.digest)


@pytest.mark.parametrize("names", [["one"], ["one", "two", "three"], "ab", {"a": 1}, None])
def test_names_that_do_not_fit_the_classes_are_not_shown(tmp_path, names):
    path = tmp_path / "two.safetensors"
    checkpoints.save_snapshot(path, G_ema=networks.tiny_generator(label_dim=2), classes=("a", "b"))
    header, rest = header_of(path)
    odd = {"classes": names, "training": names, "about": None, "cover": names}
    card = json.loads(header["__metadata__"][checkpoints.KEY]) | odd
    header["__metadata__"][checkpoints.KEY] = json.dumps(card)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + rest)
    read = checkpoints.read_card(path)
    assert read.classes == () and read.class_name(1) == "1" and read.cover == 0
    assert dict(read.training) == ({"a": 1} if isinstance(names, dict) else {})


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -float("inf"), 10**400])
def test_times_that_are_none_are_not_told(tmp_path, seconds):
    G = networks.tiny_generator()
    told = {"seconds": seconds, "hardware": "x"}
    card = checkpoints.save_snapshot(tmp_path / "odd.safetensors", G_ema=G, training=told)
    assert card.training_words == {"hardware": "x"}


def test_models_are_listed_by_their_whole_name(tmp_path):
    for name in ("fruit-dcgan", "apple", "fruit"):
        checkpoints.save_snapshot(tmp_path / f"{name}.safetensors", G_ema=networks.tiny_generator())
    assert [card.name for card in checkpoints.list_checkpoints(tmp_path)[0]] == ["apple", "fruit", "fruit-dcgan"]


def test_the_bundled_model_is_of_this_format(repository):
    path = repository / "checkpoints" / "fruit.safetensors"
    card = json.loads(header_of(path)[0]["__metadata__"]["latent-atelier"])
    assert card["format"] == checkpoints.FORMAT
    assert checkpoints.load_generator(path).spec.resolution == 64, "its weights and spec match its digest"
    assert checkpoints.read_card(path).has_discriminator


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


def test_a_card_is_changed_without_touching_the_weights(saved):
    G, _, card = saved
    new = checkpoints.change_card(card.path, title="Damson · é", licence="CC-BY-4.0", metrics={"fid": 3})
    assert (new.title, new.licence, new.data, new.digest) == ("Damson · é", "CC-BY-4.0", "nobody", card.digest)
    assert new.metrics == {"kid": 0.1, "fid": 3}
    w_plus = torch.randn(1, G.spec.num_ws, G.spec.w_dim)
    with torch.no_grad():
        assert torch.equal(checkpoints.load_generator(card.path).synthesis(w_plus), G.synthesis(w_plus))
    with card.path.open("rb") as stream:  # the tensors begin at a multiple of eight, as the format wants it
        assert struct.unpack("<Q", stream.read(8))[0] % 8 == 0


def test_parents_are_kept_in_the_card(saved, tmp_path):
    parents = [{"title": "Plum", "digest": "a" * 64, "licence": "CC0-1.0"}]
    card = checkpoints.save_snapshot(tmp_path / "mix.safetensors", G_ema=saved[0], parents=parents)
    assert list(card.parents) == parents
    assert list(checkpoints.change_card(card.path, title="Mix").parents) == parents
    assert saved[2].parents == ()


def test_renaming_takes_the_folder_along_and_deleting_removes_it(saved):
    card = saved[2]
    card.folder.mkdir()
    (card.folder / "favourites.json").write_text("{}")
    new = checkpoints.rename_checkpoint(card.path, "damson")
    assert (new.name, new.folder.is_dir(), card.path.exists(), card.folder.exists()) == ("damson", True, False, False)
    for bad in ("", "../plum", "a/b", "damson", ".hidden", "x" * 81, "x.safetensors"):
        with pytest.raises(InputError):
            checkpoints.rename_checkpoint(new.path, bad)
    checkpoints.remove_checkpoint(new.path)
    assert not new.path.exists() and not new.folder.exists()
    for path in (new.path, new.path.parent, new.path.with_suffix(".txt")):
        with pytest.raises(CheckpointError):
            checkpoints.remove_checkpoint(path)


def test_a_blend_cannot_be_given_a_looser_licence_than_its_parents(saved, tmp_path):
    parents = [{"title": "Faces", "licence": "Nvidia-SC"}, {"title": "My own", "licence": "unknown"}]
    card = checkpoints.save_snapshot(tmp_path / "m.safetensors", G_ema=saved[0], licence="Nvidia-SC", parents=parents)
    for licence in ("CC0-1.0", "", "CC-BY-NC-4.0"):
        with pytest.raises(InputError, match="Faces"):
            checkpoints.change_card(card.path, licence=licence)
    assert checkpoints.change_card(card.path, licence="CC-BY-NC-ND-4.0", title="M").licence == "CC-BY-NC-ND-4.0"


def test_a_model_from_before_filters_were_written_opens_with_its_digest(tmp_path):
    G = networks.tiny_generator()
    params = {name: value for name, value in G.spec.params.items() if name != "resample_filter"}
    old = networks.build_generator(dataclasses.replace(G.spec, params=params))
    old.load_state_dict(G.state_dict())
    card = checkpoints.save_snapshot(tmp_path / "old.safetensors", G_ema=old)
    canonical = json.dumps(old.spec.to_dict(), sort_keys=True, separators=(",", ":"))
    tensors = checkpoints.tensors_digest({f"G_ema.{name}": t for name, t in G.state_dict().items()})
    assert card.digest == hashlib.sha256(f"{tensors}|{canonical}".encode()).hexdigest()
    assert "resample_filter" not in checkpoints.read_card(card.path).spec.params
    w_plus = torch.randn(2, G.spec.num_ws, G.spec.w_dim)
    with torch.no_grad():
        assert torch.equal(checkpoints.load_generator(card.path).synthesis(w_plus), G.synthesis(w_plus))
