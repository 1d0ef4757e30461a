"""Models of other tools: they open as the networks they are, and become checkpoints of this studio."""

from __future__ import annotations

import argparse
import pickle

import foreign_files as files
import numpy as np
import pytest
import torch

from ganlib import networks
from ganlib.__main__ import main
from ganlib.base.errors import CheckpointError
from ganlib.media import images
from ganlib.models import checkpoints
from ganlib.models.foreign import import_model, open_foreign

TOLERANCE = 1e-4  # max |error| over the output's standard deviation


def assert_close(got, expected):
    expected = torch.as_tensor(expected)
    error = (got - expected).abs().max() / expected.std()
    assert error <= TOLERANCE, f"{error:.2e} of the standard deviation"


def write(tmp_path, data, name="model.pkl"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def assert_same(model, G, D=None):
    """The model makes the pictures and gives the verdicts of these networks, but for rounding."""
    assert_close(files.make_pictures(model.G_ema), files.make_pictures(G))
    assert not model.G_ema.training
    assert not any(p.requires_grad for p in model.G_ema.parameters())
    if D is None:
        assert model.D is None
    else:
        side, classes = G.spec.resolution, G.spec.label_dim
        assert_close(files.judge(model.D, side, classes), files.judge(D, side, classes))


# ---- Reference files -----------------------------------------------------------------------------------------------


@pytest.mark.parity
@pytest.mark.parametrize(
    "name", ["nvidia_snapshot.pkl", "nvidia_snapshot_stylegan3.pkl", "tf_legacy.pkl", "rosinality.pt"]
)
def test_reference_files_agree_with_their_images_and_logits(reference, name):
    model = open_foreign(reference / name)
    expected = np.load(reference / f"{name.split('.')[0]}_expected.npz", allow_pickle=False)
    with torch.no_grad():
        w = model.G_ema.mapping(torch.from_numpy(expected["z"]))
        w = model.G_ema.w_avg + float(expected["truncation_psi"]) * (w - model.G_ema.w_avg)
        image = model.G_ema.synthesis(w[:, None].repeat(1, model.spec.num_ws, 1), noise_mode="const")
        images = next(expected[key] for key in expected.files if key.startswith("image"))
        assert_close(image, images)
        logits = [expected[key] for key in expected.files if key.startswith("d_logits")]
        assert len(logits) == (model.D is not None)
        if model.D is not None:
            assert_close(model.D(torch.from_numpy(expected["d_images"])), logits[0])
    if "augment_p" in expected.files:
        assert model.augment_p == float(expected["augment_p"])
    assert model.notes == ()


@pytest.mark.parity
def test_stylegan3_is_imported_and_generates_the_expected_picture(reference, tmp_path, monkeypatch):
    expected = np.load(reference / "nvidia_snapshot_stylegan3_expected.npz", allow_pickle=False)
    monkeypatch.chdir(tmp_path)
    file = reference / "nvidia_snapshot_stylegan3.pkl"
    assert main(["import", str(file), "--dest", "checkpoints/a.safetensors"]) == 0
    seed = int(expected["seeds"][1])
    assert main(["generate", "--network", "a", "--seeds", str(seed), "--trunc", "0.7", "--outdir", "out"]) == 0
    pixels = images.decode((tmp_path / "out" / f"seed{seed:04d}.png").read_bytes())
    wanted = images.to_pixels(torch.from_numpy(expected["image"][1:2]))[0]
    assert np.abs(pixels.astype(int) - wanted).max() <= 1


# ---- NVIDIA's snapshots --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label_dim", [0, 3])
@pytest.mark.parametrize("architectures", [("skip", "resnet"), ("resnet", "skip"), ("orig", "orig")])
def test_a_snapshot_of_any_architecture_opens(tmp_path, architectures, label_dim):
    G, D = files.tiny(
        architecture=architectures[0], D_architecture=architectures[1], label_dim=label_dim, conv_clamp=256.0,
        num_fp16_res=1,
    )  # fmt: skip
    model = open_foreign(write(tmp_path, files.snapshot(G, D, p=0.25), "network-snapshot-001200.pkl"))
    assert_same(model, G, D)
    assert (model.kimg, model.augment_p, model.licence, model.data) == (1200.0, 0.25, "unknown", "plums.zip")
    assert "network-snapshot-001200.pkl" in model.source
    assert model.notes == ()
    assert (model.spec.params["conv_clamp"], model.spec.params["num_fp16_res"]) == (256.0, 1)


@pytest.mark.parametrize("options", [{}, {"label_dim": 2, "conv_kernel": 1, "use_radial_filters": True}])
def test_a_snapshot_of_stylegan3_opens(tmp_path, options):
    G, (_, D) = files.tiny_alias_free(conv_clamp=4.0, output_scale=0.5, **options), files.tiny(
        label_dim=options.get("label_dim", 0), conv_clamp=256.0
    )  # fmt: skip
    model = open_foreign(write(tmp_path, files.snapshot(G, D, p=0.25)))
    assert_same(model, G, D)
    assert model.notes == () and model.spec.movable
    assert (model.spec.params["conv_clamp"], model.spec.params["output_scale"]) == (4.0, 0.5)
    card = import_model(tmp_path / "model.pkl", tmp_path / "m.safetensors")
    assert_close(files.make_pictures(checkpoints.load_generator(card.path)), files.make_pictures(G))
    torch.save(G.state_dict(), tmp_path / "state.pt")
    plain = open_foreign(tmp_path / "state.pt")
    assert "StyleGAN3" in plain.source and "±256" in plain.notes[0]


def test_stylegan3_of_another_kind_is_refused_in_words(tmp_path):
    value = files.persistent(files.tiny_alias_free())
    parts = value.meta["state"]["_modules"]["synthesis"].meta["state"]["_modules"]
    parts["input"].meta["state"]["bandwidth"] = 3.0
    with pytest.raises(CheckpointError, match=r"bandwidth 3\.0, where 2 is known"):
        open_foreign(write(tmp_path, files.pickled({"G_ema": value})))
    value = files.persistent(files.tiny_alias_free())
    value.meta["state"]["_modules"]["synthesis"].meta["state"]["_modules"]["L0_36_6"].meta["class_name"] = "Superres"
    with pytest.raises(CheckpointError, match="Superres"):
        open_foreign(write(tmp_path, files.pickled({"G_ema": value})))
    G = files.tiny_alias_free()
    G.synthesis.L0_36_6.up_filter = G.synthesis.L0_36_6.up_filter[:-2]
    with pytest.raises(CheckpointError, match="the shape"):
        open_foreign(write(tmp_path, files.snapshot(G)))


def test_a_file_with_only_g_ema_opens(tmp_path):
    G, _ = files.tiny()
    model = open_foreign(write(tmp_path, files.snapshot(G)))
    assert_same(model, G)
    assert (model.kimg, model.augment_p) == (None, None)
    assert_same(open_foreign(write(tmp_path, files.pickled(files.persistent(G)))), G)


def test_without_a_moving_average_the_last_generator_is_taken_and_said(tmp_path):
    G, _ = files.tiny()
    model = open_foreign(write(tmp_path, files.pickled({"G": files.persistent(G), "G_ema": None})))
    assert_same(model, G)
    assert "no moving average" in model.notes[0]


def test_another_filter_and_an_own_width_of_the_discriminator_are_read(tmp_path):
    G, D = files.tiny(resample_filter=(1, 4, 4, 1))
    table = {"4": 5, "8": 7, "16": 3}
    params = {**D.spec.params, "resample_filter": (1, 3, 3, 1), "D": {"channels": table}}
    wide = networks.build_discriminator(D.spec.from_dict({**D.spec.to_dict(), "params": params}))
    path = write(tmp_path, files.snapshot(G, wide))
    model = open_foreign(path)
    assert_same(model, G, wide)
    assert model.spec.params["D"]["channels"] == table
    again = checkpoints.load_discriminator(import_model(path, tmp_path / "m.safetensors").path)
    assert_close(files.judge(again, 16), files.judge(wide, 16))


@pytest.mark.parametrize("taps", [(1, 2, 1), (1, 2, 3, 5), (1, 4, 6, 4, 1), tuple(range(1, 10))], ids=str)
def test_a_snapshot_with_another_low_pass_filter_draws_and_judges_by_it(tmp_path, taps):
    G, D = files.tiny(resample_filter=taps)
    value, judge = files.persistent(G), files.persistent(D)
    value.meta["state"]["_init_kwargs"] = {"synthesis_kwargs": {"resample_filter": list(taps)}}
    judge.meta["state"]["_init_kwargs"] = {"block_kwargs": {"resample_filter": list(taps)}}
    path = write(tmp_path, files.pickled({"G_ema": value, "D": judge}))
    model = open_foreign(path)
    assert_same(model, G, D)
    card = import_model(path, tmp_path / "m.safetensors")
    assert_close(files.make_pictures(checkpoints.load_generator(card.path)), files.make_pictures(G))
    assert_close(files.judge(checkpoints.load_discriminator(card.path), 16), files.judge(D, 16))
    usual, _ = files.tiny()
    assert (files.make_pictures(usual) - files.make_pictures(G)).abs().max() > 0.01


def test_a_long_filter_is_stored_as_one_row(tmp_path):
    G, _ = files.tiny(resample_filter=tuple(range(1, 10)))
    value = files.persistent(G)
    blocks = list(value.meta["state"]["_modules"]["synthesis"].meta["state"]["_modules"].values())
    layers = [layer for block in blocks for layer in block.meta["state"]["_modules"].values()]
    for part in [*blocks, *layers]:
        buffers = part.meta["state"]["_buffers"]
        if "resample_filter" in buffers and len(buffers["resample_filter"]) > 4:
            buffers["resample_filter"] = buffers["resample_filter"].sum(dim=0)
    assert_same(open_foreign(write(tmp_path, files.pickled({"G_ema": value}))), G)


def test_filters_that_contradict_themselves_are_refused(tmp_path):
    G, _ = files.tiny(resample_filter=(1, 2, 1))

    def refused(change, words):
        value = files.persistent(G)
        change(value.meta["state"])
        with pytest.raises(CheckpointError, match=words):
            open_foreign(write(tmp_path, files.pickled({"G_ema": value})))

    def named(state):
        state["_init_kwargs"] = {"synthesis_kwargs": {"resample_filter": [1, 3, 3, 1]}}

    def one(state, matrix):
        block = state["_modules"]["synthesis"].meta["state"]["_modules"]["b16"]
        block.meta["state"]["_buffers"]["resample_filter"] = matrix

    refused(named, "not those that its arguments name")
    refused(lambda state: one(state, torch.ones(4, 4) / 16), "differ or are not separable")
    refused(lambda state: one(state, torch.eye(3) / 3), "differ or are not separable")
    refused(lambda state: one(state, torch.ones(3, 2)), "has the shape")
    refused(lambda state: one(state, torch.ones(10**5)), "has the shape")


def test_noise_that_was_switched_off_stays_off(tmp_path):
    G, _ = files.tiny()
    with torch.no_grad():
        for name, parameter in G.named_parameters():
            if name.endswith("noise_strength"):
                parameter.zero_()
    value = files.persistent(G)
    blocks = value.meta["state"]["_modules"]["synthesis"].meta["state"]["_modules"].values()
    for layer in [b.meta["state"]["_modules"].get(n) for b in blocks for n in ("conv0", "conv1")]:
        if layer is not None:
            del layer.meta["state"]["_parameters"]["noise_strength"]
            side = layer.meta["state"]["_buffers"].pop("noise_const").shape[0]
            layer.meta["state"] |= {"use_noise": False, "resolution": side}
    assert_same(open_foreign(write(tmp_path, files.pickled({"G_ema": value}))), G)


def test_an_unknown_class_is_refused_by_name(tmp_path):
    G, D = files.tiny()
    value = files.persistent(G)
    value.meta["state"]["_modules"]["attention"] = files.Persistent("SelfAttention", {"_modules": {}})
    with pytest.raises(CheckpointError, match="SelfAttention") as caught:
        open_foreign(write(tmp_path, files.pickled({"G_ema": value})))
    assert caught.value.hint
    other = files.persistent(D)
    other.meta["class_name"] = "ProjectedDiscriminator"
    model = open_foreign(write(tmp_path, files.pickled({"G_ema": files.persistent(G), "D": other})))
    assert_same(model, G)
    assert "ProjectedDiscriminator" in model.notes[0]


@pytest.mark.parametrize(("attribute", "value"), [("activation", "relu"), ("bias_gain", 1.0)])
def test_known_classes_with_other_options_are_refused(tmp_path, attribute, value):
    G, _ = files.tiny()
    network = files.persistent(G)
    network.meta["state"]["_modules"]["mapping"].meta["state"]["_modules"]["fc0"].meta["state"][attribute] = value
    with pytest.raises(CheckpointError, match=r"mapping\.fc0"):
        open_foreign(write(tmp_path, files.pickled({"G_ema": network})))


# ---- TensorFlow's era ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label_dim", [0, 3])
@pytest.mark.parametrize("architectures", [("skip", "resnet"), ("resnet", "skip"), ("orig", "orig")])
def test_a_pickle_of_tensorflow_opens(tmp_path, architectures, label_dim):
    G, D = files.tiny(architecture=architectures[0], D_architecture=architectures[1], label_dim=label_dim)
    value = files.tf_networks(G, D, lod=label_dim > 0)
    model = open_foreign(write(tmp_path, files.pickled(value, protocol=2 + label_dim)))
    assert_same(model, G, D)
    assert model.notes == ()


def test_python_2_strings_and_the_older_numpy_are_read(tmp_path):
    G, D = files.tiny()
    data = files.python2(files.tf_networks(G, D))
    assert b"numpy.core.multiarray" in data and b"_codecs" not in data
    assert_same(open_foreign(write(tmp_path, data)), G, D)


def test_height_and_width_must_be_equal(tmp_path):
    G, D = files.tiny()
    for part in (square := files.tf_networks(G, D, resolution_h=16, resolution_w=16))[1:]:
        del part.static_kwargs["resolution"]
    assert_same(open_foreign(write(tmp_path, files.pickled(square))), G, D)
    with pytest.raises(CheckpointError, match="32 × 16"):
        open_foreign(write(tmp_path, files.pickled(files.tf_networks(G, D, resolution_h=16, resolution_w=32))))


@pytest.mark.parametrize(
    ("variable", "words"),
    [("4x4/Const/StyleMod/weight", "StyleGAN1"), ("LabelConcat/weight", "classes"), ("Odd/weight", "Odd/weight")],
)
def test_other_generators_of_that_era_are_refused_in_words(tmp_path, variable, words):
    G, D = files.tiny()
    parts = files.tf_networks(G, D)
    parts[2].components["mapping"].variables.append((variable, np.zeros((2, 2), np.float32)))
    with pytest.raises(CheckpointError, match=words):
        open_foreign(write(tmp_path, files.pickled(parts)))


def test_another_learning_rate_of_the_mapping_is_refused(tmp_path):
    G, D = files.tiny()
    with pytest.raises(CheckpointError, match="mapping_lrmul"):
        open_foreign(write(tmp_path, files.pickled(files.tf_networks(G, D, mapping_lrmul=1.0))))


# ---- rosinality and state dicts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_training_checkpoint_of_rosinality_opens(tmp_path, is_zip):
    G, D = files.tiny(resolution=32)
    optimizer = torch.optim.Adam(D.parameters()).state_dict()
    value = files.rosinality(G, D) | {"args": argparse.Namespace(iter=800000, path="x"), "ada_aug_p": 0.5}
    value |= {"g_optim": optimizer, "g": value["g_ema"]}
    path = tmp_path / "550000.pt"
    torch.save(value, path, _use_new_zipfile_serialization=is_zip)
    model = open_foreign(path)
    assert_same(model, G, D)
    assert (model.augment_p, model.notes) == (0.5, ())
    assert "argparse.Namespace" in model.asked


def test_missing_noise_and_mean_are_filled_and_said(tmp_path):
    G, _ = files.tiny()
    value = files.rosinality(G, noises=False)
    del value["latent_avg"]
    torch.save(value, tmp_path / "old.pt")
    models = [open_foreign(tmp_path / "old.pt") for _ in range(2)]
    assert torch.equal(files.make_pictures(models[0].G_ema), files.make_pictures(models[1].G_ema))
    assert len(models[0].notes) == 2
    z = torch.randn(4000, 8)
    mean = G.mapping(z).mean(dim=0)
    assert (models[0].G_ema.w_avg - mean).abs().max() < 0.1 * G.mapping(z).std()


@pytest.mark.parametrize("shape", ["flat", "nested", "prefixed"])
def test_a_state_dict_of_nvidias_names_opens(tmp_path, shape):
    G, D = files.tiny(label_dim=2)
    g, d = G.state_dict(), D.state_dict()
    prefixed = {f"G_ema.{k}": v for k, v in g.items()} | {f"D.{k}": v for k, v in d.items()}
    torch.save({"flat": g, "nested": {"G_ema": g, "D": d}, "prefixed": prefixed}[shape], tmp_path / "state.pt")
    model = open_foreign(tmp_path / "state.pt")
    assert_same(model, G, None if shape == "flat" else D)
    assert "clamped" in model.notes[0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(tmp_path, dtype):
    G, _ = files.tiny()
    torch.save({k: v.to(dtype) for k, v in G.state_dict().items()}, tmp_path / "state.pt")
    model = open_foreign(tmp_path / "state.pt")
    state = model.G_ema.state_dict()
    assert all(torch.equal(state[k], v.to(dtype).float()) for k, v in G.state_dict().items())


def test_tensors_that_share_or_stride_their_memory_are_read(tmp_path):
    G, _ = files.tiny()
    state = G.state_dict()
    state["synthesis.b8.conv1.weight"] = state["synthesis.b8.conv1.weight"].to(memory_format=torch.channels_last)
    both = torch.stack([state["mapping.fc0.weight"], state["mapping.fc1.weight"]])
    state["mapping.fc0.weight"], state["mapping.fc1.weight"] = both[0], both[1]
    torch.save(state, tmp_path / "state.pt")
    assert_same(open_foreign(tmp_path / "state.pt"), G)


# ---- Import --------------------------------------------------------------------------------------------------------


def test_import_makes_a_checkpoint_with_its_card(tmp_path):
    G, D = files.tiny()
    path = write(tmp_path, files.snapshot(G, D, p=0.125), "network-snapshot-000400.pkl")
    card = import_model(path, tmp_path / "plum.safetensors", title="Plum", licence="CC0-1.0", source="a friend")
    assert (card.title, card.licence, card.source, card.data) == ("Plum", "CC0-1.0", "a friend", "plums.zip")
    assert (card.kimg, card.metrics, card.has_discriminator) == (400.0, {"augment_p": 0.125}, True)
    loaded = checkpoints.load_generator(card.path)
    assert torch.equal(files.make_pictures(loaded), files.make_pictures(G))
    with pytest.raises(CheckpointError, match="exists already"):
        import_model(path, card.path)
    with pytest.raises(CheckpointError, match="name of a model"):
        import_model(path, tmp_path / "plum.pkl")


def test_the_command_imports_and_the_model_makes_pictures(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    G, D = files.tiny()
    write(tmp_path, files.snapshot(G, D), "network-snapshot-000400.pkl")
    assert main(["import", "network-snapshot-000400.pkl", "--title", "Plum"]) == 0
    out = capsys.readouterr().out
    assert "16 px, no classes, with discriminator" in out
    assert "ask the author" in out and "Harmless" in out
    assert main(["generate", "--network", "network-snapshot-000400", "--seeds", "1", "--outdir", "out"]) == 0
    assert (tmp_path / "out" / "seed0001.png").exists()
    assert main(["import", "network-snapshot-000400.pkl"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["import", "absent.pkl"]) == 2
    assert "hint:" in capsys.readouterr().err


def test_files_of_other_kinds_are_named(tmp_path):
    for data, words in (
        (b"<!DOCTYPE html><title>Sign in</title>", "page of the web"),
        (b"\x89PNG\r\n\x1a\n0000", "no model of a known format"),
        (b"", "0 bytes"),
        (pickle.dumps([1, 2, 3]), "a list"),
        (pickle.dumps({"weights": 1}), "weights"),
        (pickle.dumps({"G_ema": {"b4.conv1.weight": 3}}), "G_ema"),
    ):
        with pytest.raises(CheckpointError, match=words) as caught:
            open_foreign(write(tmp_path, data))
        assert caught.value.hint
    with pytest.raises(CheckpointError, match="is no file"):
        open_foreign(tmp_path)
