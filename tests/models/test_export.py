"""Models leave the studio: what is written opens elsewhere and makes the same pictures."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from ganlib import networks
from ganlib.__main__ import main
from ganlib.base.errors import CheckpointError, InputError
from ganlib.models import checkpoints
from ganlib.models.export import EXPORTS, OPSET, export_model
from ganlib.models.foreign import open_foreign
from tests.commands.test_help import help_of

EXACT = 1e-5  # tensors pass through unchanged, the filter is rounded: measured 1.4e-6
PROGRAM = 1e-4  # of the standard deviation
FAMILIES = sorted(networks.ARCHITECTURES)
SMALL = {"resolution": 8, "D": {}}  # fewer layers to trace


def save(tmp_path: Path, arch="stylegan2", *, with_D=False, seed=0, **options) -> Path:
    """A checkpoint whose noise and centre have an effect."""
    G = networks.tiny_generator(arch, seed=seed, **options)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in G.state_dict().items():
            if name.endswith("noise_strength"):
                tensor.fill_(0.3)
            elif name.endswith(("bias", "w_avg")):
                tensor.add_(torch.randn(tensor.shape, generator=rng) * 0.1)
    torch.manual_seed(seed)
    path = tmp_path / f"{arch}.safetensors"
    checkpoints.save_snapshot(
        path, G_ema=G, D=networks.build_discriminator(G.spec) if with_D else None, title="Plums & pears",
        source="drawn by chance", licence="CC-BY-4.0", data="Ada's orchard",
    )  # fmt: skip
    return path


def draw(G, count=3, psi=0.7):
    """Inputs of a whole generator, and its pictures."""
    spec = G.spec
    rng = torch.Generator().manual_seed(7)
    inputs = {"z": torch.randn(count, spec.z_dim, generator=rng)}
    if spec.truncatable:
        inputs["psi"] = torch.tensor(psi)
    if spec.label_dim:
        inputs["label"] = torch.eye(spec.label_dim)[torch.arange(count) % spec.label_dim]
    with torch.no_grad():
        w = G.mapping(inputs["z"], inputs.get("label"))
        if spec.truncatable:
            w = torch.lerp(G.w_avg, w, psi)
        return inputs, G.synthesis(w[:, None].repeat(1, spec.num_ws, 1), noise_mode=spec.noise_modes[0])


def assert_close(got, expected, tolerance):
    error = float((torch.as_tensor(got) - expected).abs().max() / expected.std())
    assert error <= tolerance, f"{error:.2e} of the standard deviation"


def judge(D):
    rng = torch.Generator().manual_seed(3)
    label = torch.eye(D.spec.label_dim)[[0, 1, 0, 1]] if D.spec.label_dim else None
    with torch.no_grad():
        return D(torch.randn(4, D.spec.img_channels, D.spec.resolution, D.spec.resolution, generator=rng), label)


# ---- Tensors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label_dim", [0, 3])
@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_nvidias_tensors_come_back_as_the_same_model(tmp_path, label_dim, architecture):
    source = save(tmp_path, with_D=True, label_dim=label_dim, architecture=architecture)
    back = open_foreign(export_model(source, tmp_path / "out.pt", "nvidia"))
    assert_close(draw(back.G_ema)[1], draw(checkpoints.load_generator(source))[1], EXACT)
    assert back.D is not None
    assert_close(judge(back.D), judge(checkpoints.load_discriminator(source)), EXACT)


def test_nvidias_tensors_of_stylegan3_come_back_as_the_same_model(tmp_path):
    source = save(tmp_path, arch="stylegan3", label_dim=2)
    path = export_model(source, tmp_path / "out.pt", "nvidia")
    assert_close(draw(open_foreign(path).G_ema)[1], draw(checkpoints.load_generator(source))[1], EXACT)
    arguments = torch.load(path, weights_only=True)["init_kwargs"]["G_ema"]
    assert arguments["class_name"] == "training.networks_stylegan3.Generator" and arguments["num_layers"] == 4


def test_stylegan3_comes_back_from_nvidias_names_with_what_tensors_do_not_tell(tmp_path):
    source = save(tmp_path, "stylegan3", with_D=True, first_cutoff=2.5, conv_clamp=0.5)
    back = open_foreign(export_model(source, tmp_path / "out.pt", "nvidia"))
    assert_close(draw(back.G_ema)[1], draw(checkpoints.load_generator(source))[1], EXACT)
    assert_close(judge(back.D), judge(checkpoints.load_discriminator(source)), EXACT)
    assert back.notes == ()


def test_clamp_and_group_of_the_statistic_travel_with_nvidias_tensors(tmp_path):
    source = save(tmp_path, with_D=True, conv_clamp=0.4, num_fp16_res=2, D={"mbstd_group_size": 2, "conv_clamp": None})
    back = open_foreign(export_model(source, tmp_path / "out.pt", "nvidia"))
    G, D = checkpoints.load_generator(source), checkpoints.load_discriminator(source)
    assert_close(draw(back.G_ema)[1], draw(G)[1], EXACT)
    assert_close(judge(back.D), judge(D), EXACT)
    assert (back.spec.params["conv_clamp"], back.spec.params["num_fp16_res"], back.notes) == (0.4, 2, ())


def test_arguments_beside_foreign_tensors_are_not_trusted(tmp_path):
    table = torch.load(export_model(save(tmp_path), tmp_path / "out.pt", "nvidia"), weights_only=True)
    for hostile in ("words", {"G_ema": 3}, {"G_ema": {"synthesis_kwargs": {"num_fp16_res": "many", "odd": 1}}}):
        torch.save({**table, "init_kwargs": hostile}, tmp_path / "odd.pt")
        assert "clamped" in open_foreign(tmp_path / "odd.pt").notes[0]
    torch.save({**table, "init_kwargs": {"G_ema": {"conv_clamp": -1.0}}}, tmp_path / "odd.pt")
    with pytest.raises(CheckpointError, match="conv_clamp"):
        open_foreign(tmp_path / "odd.pt")


@pytest.mark.parametrize("taps", [(1, 2, 2, 1), (1, 2, 1), (1, 2, 3, 5), tuple(range(1, 10))], ids=str)
def test_another_low_pass_filter_travels_with_nvidias_tensors(tmp_path, taps):
    source = save(tmp_path, with_D=True, resample_filter=taps)
    path = export_model(source, tmp_path / "out.pt", "nvidia")
    back = open_foreign(path)
    assert_close(draw(back.G_ema)[1], draw(checkpoints.load_generator(source))[1], EXACT)
    assert_close(judge(back.D), judge(checkpoints.load_discriminator(source)), EXACT)
    # As NVIDIA's classes register them: layers that do not resample have the usual one, and a long one is a row.
    table = torch.load(path, weights_only=True)
    shape = [len(taps)] * (1 if len(taps) >= 8 else 2)
    for part, names in (("G_ema", ("b8", "b8.conv0")), ("D", ("b16", "b16.conv1", "b16.skip"))):
        start = "synthesis." if part == "G_ema" else ""
        assert all(list(table[part][f"{start}{name}.resample_filter"].shape) == shape for name in names)
    for part, names in (("G_ema", ("synthesis.b8.conv1",)), ("D", ("b16.conv0", "b16.fromrgb", "b4.conv"))):
        assert all(list(table[part][f"{name}.resample_filter"].shape) == [4, 4] for name in names)


def test_nvidias_file_has_their_filters_and_the_arguments_of_their_classes(tmp_path):
    source = save(tmp_path, with_D=True, label_dim=3, conv_clamp=256.0)
    table = torch.load(export_model(source, tmp_path / "out.pt", "nvidia"), weights_only=True)
    assert "synthesis.b8.conv0.resample_filter" in table["G_ema"] and "b16.resample_filter" in table["D"]
    arguments = table["init_kwargs"]
    assert arguments["G_ema"]["synthesis_kwargs"] == {
        "channel_base": 256, "channel_max": 16, "num_fp16_res": 0, "conv_clamp": 256.0,
        "resample_filter": [1, 3, 3, 1], "architecture": "skip",
    }  # fmt: skip
    assert (arguments["G_ema"]["c_dim"], arguments["D"]["img_resolution"]) == (3, 16)
    assert arguments["D"]["epilogue_kwargs"] == {"mbstd_group_size": 4, "mbstd_num_channels": 1}


@pytest.mark.parity
def test_nvidias_snapshot_is_written_under_the_names_that_it_had(reference, tmp_path):
    model = open_foreign(reference / "nvidia_snapshot.pkl")
    card = checkpoints.save_snapshot(tmp_path / "m.safetensors", G_ema=model.G_ema, D=model.D)
    table = torch.load(export_model(card.path, tmp_path / "m.pt", "nvidia"), weights_only=True)
    data = (reference / "nvidia_snapshot.pkl").read_bytes()
    leaves = {name.rsplit(".", 1)[1] for part in ("G_ema", "D") for name in table[part]}
    assert all(leaf.encode() in data for leaf in leaves)
    assert_close(draw(open_foreign(tmp_path / "m.pt").G_ema)[1], draw(model.G_ema)[1], EXACT)


@pytest.mark.parametrize("with_D", [False, True])
def test_rosinalitys_tensors_come_back_as_the_same_model(tmp_path, with_D):
    source = save(tmp_path, with_D=with_D, seed=4)
    notes: list[str] = []
    back = open_foreign(export_model(source, tmp_path / "out.pt", "rosinality", report=notes.append))
    assert_close(draw(back.G_ema)[1], draw(checkpoints.load_generator(source))[1], EXACT)
    torch.testing.assert_close(back.G_ema.state_dict(), checkpoints.load_generator(source).state_dict(), rtol=0, atol=0)
    assert back.notes == ()
    assert "widths" in notes[0]
    if with_D:
        assert_close(judge(back.D), judge(checkpoints.load_discriminator(source)), EXACT)


@pytest.mark.parity
def test_rosinalitys_own_file_is_written_as_it_was(reference, tmp_path):
    theirs = torch.load(reference / "rosinality.pt", weights_only=True)
    model = open_foreign(reference / "rosinality.pt")
    card = checkpoints.save_snapshot(tmp_path / "m.safetensors", G_ema=model.G_ema)
    ours = torch.load(export_model(card.path, tmp_path / "m.pt", "rosinality"), weights_only=True)
    torch.testing.assert_close(ours["g_ema"], dict(theirs["g_ema"]), rtol=0, atol=1e-7)
    torch.testing.assert_close(ours["latent_avg"], theirs["latent_avg"], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("arch", "options", "words"),
    [
        ("stylegan2", {"label_dim": 3}, "3 classes"),
        ("stylegan2", {"img_channels": 1}, "channel"),
        ("stylegan2", {"architecture": "resnet"}, "skip generators only"),
        ("stylegan2", {"resample_filter": (1, 2, 2, 1)}, "1, 3, 3, 1"),
        ("stylegan2", {"z_dim": 16}, "equally long"),
        ("dcgan", {}, "not DCGAN"),
    ],
)
def test_what_rosinalitys_network_cannot_be_is_refused_in_words(tmp_path, arch, options, words):
    with pytest.raises(InputError, match=words) as error:
        export_model(save(tmp_path, arch, **options), tmp_path / "out.pt", "rosinality")
    assert "onnx" in error.value.hint
    assert not (tmp_path / "out.pt").exists()


def test_a_discriminator_and_a_clamp_that_rosinality_lacks_are_told(tmp_path):
    source = save(tmp_path, with_D=True, conv_clamp=256.0, D={"D_architecture": "skip"})
    notes: list[str] = []
    path = export_model(source, tmp_path / "out.pt", "rosinality", report=notes.append)
    table = torch.load(path, weights_only=True)
    assert "d" not in table
    assert any("no clamp" in note for note in notes) and any("discriminator is left out" in note for note in notes)


def test_families_that_nvidia_does_not_know_are_refused(tmp_path):
    with pytest.raises(InputError, match="do not know ProGAN"):
        export_model(save(tmp_path, "progan"), tmp_path / "out.pt", "nvidia")


# ---- Programs ------------------------------------------------------------------------------------------------------


def run_onnx(path, inputs):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = {entry.name for entry in session.get_inputs()}
    assert names == set(inputs)
    return session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})[0]


def run_torch(path, inputs):
    with torch.no_grad():
        return torch.export.load(path).module()(*inputs.values())


PROGRAMS = {"onnx": (".onnx", run_onnx), "torch": (".pt2", run_torch)}


# Seconds each. A graph of ONNX is made of a program of torch.export, and both are traced alike: with classes each
# family as the one, without them the other for the family that has a form of its own in every batch.
@pytest.mark.parametrize(
    ("arch", "kind", "options"),
    [*((arch, "onnx", {"label_dim": 3}) for arch in FAMILIES), ("stylegan2", "torch", SMALL), ("dcgan", "torch", {})],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_program_draws_what_the_model_draws_in_any_batch(tmp_path, arch, kind, options):
    suffix, run = PROGRAMS[kind]
    source = save(tmp_path, arch, **options)
    notes: list[str] = []
    path = export_model(source, tmp_path / f"out{suffix}", kind, report=notes.append)
    G = checkpoints.load_generator(source)
    for count in (1, 5):
        inputs, expected = draw(G, count, psi=0.4)
        got = run(path, inputs)
        assert got.shape == expected.shape
        assert_close(got, expected.clamp(-1, 1), PROGRAM)
    assert "compared with the model" in notes[0]


def test_the_two_parts_of_a_generator_make_the_whole(tmp_path):
    source = save(tmp_path, label_dim=3, **SMALL)
    G = checkpoints.load_generator(source)
    inputs, expected = draw(G, psi=1.0)
    del inputs["psi"]
    w = run_torch(export_model(source, tmp_path / "w.pt2", "torch", part="mapping"), inputs)
    w_plus = w[:, None].repeat(1, G.spec.num_ws, 1)
    synthesis = export_model(source, tmp_path / "image.pt2", "torch", part="synthesis")
    assert_close(run_torch(synthesis, {"w_plus": w_plus}), expected.clamp(-1, 1), PROGRAM)


def test_wide_layers_that_a_cpu_renders_another_way_are_written_plainly(tmp_path):
    source = save(tmp_path, channel_base=2048, channel_max=128)
    inputs, expected = draw(checkpoints.load_generator(source), 2)
    path = export_model(source, tmp_path / "out.pt2", "torch")
    assert_close(run_torch(path, inputs), expected.clamp(-1, 1), PROGRAM)
    assert path.stat().st_size < 1.5 * source.stat().st_size  # transformed weights are four times as many


def test_a_growing_model_is_written_as_far_as_it_has_grown(tmp_path):
    G = networks.tiny_generator("progan")
    G.grow(1, 0.25)
    card = checkpoints.save_snapshot(tmp_path / "m.safetensors", G_ema=G)
    inputs, expected = draw(G)
    got = run_torch(export_model(card.path, tmp_path / "m.pt2", "torch"), inputs)
    assert_close(got, expected.clamp(-1, 1), PROGRAM)


def test_onnx_states_its_opset_and_says_whose_it_is(tmp_path):
    source = save(tmp_path, **SMALL)
    model = onnx.load(str(export_model(source, tmp_path / "out.onnx", "onnx")))
    onnx.checker.check_model(model, full_check=True)
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [OPSET]
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts["licence"] == "CC-BY-4.0" and facts["data"] == "Ada's orchard"
    assert facts["digest"] == checkpoints.read_card(source).digest
    axes = [(entry.name, entry.type.tensor_type.shape.dim[0].dim_param) for entry in model.graph.output]
    assert axes == [("image", "batch")]
    assert "Ada's orchard" in (tmp_path / "out.licence.txt").read_text("utf-8")


def test_without_the_packages_the_command_that_installs_them_is_told(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else find(name))
    with pytest.raises(InputError, match="onnxscript") as error:
        export_model(save(tmp_path), tmp_path / "out.onnx", "onnx")
    assert "pip install onnx onnxscript" in error.value.hint
    assert not list(tmp_path.glob("*.onnx"))


def test_a_program_that_draws_something_else_is_not_written(tmp_path, monkeypatch):
    load = torch.export.load

    def altered(path, **options):
        program = load(path, **options)
        program.state_dict["G.synthesis.b4.const"].data.mul_(-2)
        return program

    monkeypatch.setattr(torch.export, "load", altered)
    with pytest.raises(InputError, match="differs from the model"):
        export_model(save(tmp_path, **SMALL), tmp_path / "out.pt2", "torch")
    assert not list(tmp_path.glob("*.pt2"))


# ---- Licence, doors, command ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nvidia", "rosinality", "torch"])  # of ONNX see above
def test_licence_credit_and_digest_are_inside_and_beside(tmp_path, name):
    source = save(tmp_path, **SMALL)
    path = export_model(source, tmp_path / f"plums{EXPORTS[name].suffix}", name)
    beside = (tmp_path / "plums.licence.txt").read_text("utf-8")
    assert "you may sell what it makes; name its author" in beside
    digest = checkpoints.read_card(source).digest
    for text in ("CC-BY-4.0", "Ada's orchard", "drawn by chance", digest):
        assert text in beside
        assert text.encode() in path.read_bytes() or json.dumps(text)[1:-1].encode() in path.read_bytes()
    assert {file.name for file in tmp_path.iterdir()} == {"stylegan2.safetensors", path.name, "plums.licence.txt"}


@pytest.mark.parametrize(
    ("dest", "name", "part", "words"),
    [
        ("out.pt", "pickle", "whole", "no format"),
        ("out.onnx", "torch", "whole", "no name for"),
        ("taken.pt", "nvidia", "whole", "exists already"),
        ("out.pt", "nvidia", "mapping", "no part"),
        ("out.pt2", "torch", "half", "no part"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path, dest, name, part, words):
    source = save(tmp_path)
    (tmp_path / "taken.pt").write_text("mine")
    with pytest.raises(InputError, match=words):
        export_model(source, tmp_path / dest, name, part=part)
    assert (tmp_path / "taken.pt").read_text() == "mine"
    assert not (tmp_path / "out.pt").exists()


def test_the_command_writes_a_file_and_says_its_licence(tmp_path, capsys):
    source = save(tmp_path)
    dest = tmp_path / "new" / "plums.pt"
    assert main(["export", "--network", str(source), "--format", "nvidia", "--dest", str(dest)]) == 0
    out = capsys.readouterr().out
    assert "NVIDIA's tensors" in out and "name its author" in out
    assert np.isfinite(open_foreign(dest).G_ema.w_avg.numpy()).all()
    assert main(["export", "--network", str(source), "--format", "nvidia", "--dest", str(dest)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_the_commands_choices_are_those_of_the_library():
    from ganlib.models.export import PARTS

    words = help_of("export")
    assert f"--format {{{','.join(EXPORTS)}}}" in words and f"--part {{{','.join(PARTS)}}}" in words
