"""Models that training code has wrapped are unwrapped; those whose pictures cannot be drawn are refused in words."""

from __future__ import annotations

import shlex
import zipfile

import foreign_files as files
import numpy as np
import pytest
import torch

from ganlib.__main__ import main
from ganlib.base.errors import CheckpointError
from ganlib.latents.recipes import Recipe
from ganlib.media import images
from ganlib.models import checkpoints
from ganlib.models.foreign import import_model, open_foreign
from ganlib.networks import base
from ganlib.render.renderer import Renderer
from tests.models.foreign.test_foreign import assert_same, write


def dotted(word, table):
    return {f"{word}.{key}": value for key, value in table.items()}


WRAPPED = {
    "module": lambda g: dotted("module", g),
    "state_dict": lambda g: {"state_dict": g, "epoch": 3},
    "params_ema": lambda g: {"params": {k: v * 0 for k, v in g.items()}, "params_ema": g},
    "model": lambda g: {"model": dotted("module", g), "optimizer": {"state": {}}},
    "g_ema below state_dict": lambda g: {"state_dict": {"g_ema": dotted("module", g)}},
    "state_dict below g_ema": lambda g: {"g_ema": {"state_dict": dotted("module", dotted("module", g))}},
    "model_state_dict": lambda g: {"epoch": 3, "model_state_dict": g, "optimizer_state_dict": {"state": {}}},
    "state_dict below checkpoint": lambda g: {"checkpoint": {"state_dict": dotted("module", g)}, "step": 3},
    "a name of two words": lambda g: dotted("checkpoint.state_dict", g),
    "a compiled model": lambda g: {"ema": dotted("module._orig_mod", g)},
    "module before G_ema": lambda g: {"state_dict": dotted("module", dotted("G_ema", g))},
    "all of them": lambda g: {"model": {"state_dict": {"params_ema": dotted("module.model.state_dict", g)}}},
}


@pytest.mark.parametrize("how", WRAPPED)
def test_tensors_that_training_code_has_wrapped_are_unwrapped(tmp_path, how):
    for G in (files.tiny(label_dim=2)[0], files.tiny_alias_free()):
        torch.save(WRAPPED[how](dict(G.state_dict())), tmp_path / "state.pt")
        assert_same(open_foreign(tmp_path / "state.pt"), G)


@pytest.mark.parametrize("how", ["module", "state_dict", "model", "all of them"])
def test_rosinalitys_tensors_are_unwrapped_too(tmp_path, how):
    G, D = files.tiny()
    whole = files.rosinality(G, D)
    inner = {"g_ema": dotted("module", whole["g_ema"]), "d": dotted("module", whole["d"])}
    torch.save({"state_dict": {**whole, **inner}}, tmp_path / "state.pt")
    assert_same(open_foreign(tmp_path / "state.pt"), G, D)
    torch.save(WRAPPED[how](whole["g_ema"]), tmp_path / "bare.pt")
    model = open_foreign(tmp_path / "bare.pt")
    model.G_ema.w_avg.copy_(G.w_avg)  # which this file lacks
    assert_same(model, G)


def test_generator_and_discriminator_are_both_unwrapped(tmp_path):
    G, D = files.tiny()
    table = {"G_ema": dotted("module", G.state_dict()), "D": dotted("module", D.state_dict())}
    torch.save({"state_dict": table}, tmp_path / "state.pt")
    assert_same(open_foreign(tmp_path / "state.pt"), G, D)


def test_wrappings_without_end_are_refused_in_time(tmp_path):
    value = {"x": torch.zeros(2)}
    for _ in range(200):
        value = {"state_dict": value, "model": value, "params": value}
    torch.save(value, tmp_path / "state.pt")
    with pytest.raises(CheckpointError, match="no generator"):
        open_foreign(tmp_path / "state.pt")
    torch.save({"module." * 3000 + str(i): torch.zeros(2) for i in range(100)}, tmp_path / "state.pt")
    with pytest.raises(CheckpointError, match="no generator"):
        open_foreign(tmp_path / "state.pt")


# ---- Pictures that cannot be drawn ---------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_other_numbers_of_channels_are_refused_at_import_in_words(tmp_path, channels, monkeypatch):
    with monkeypatch.context() as allowed:
        allowed.setattr(base, "DRAWABLE_CHANNELS", (1, 2, 3, 4, 5))
        G, D = files.tiny(img_channels=channels)
        old = checkpoints.save_snapshot(tmp_path / "old.safetensors", G_ema=G, D=D).path
    torch.save(G.state_dict(), tmp_path / "state.pt")
    for path in (write(tmp_path, files.snapshot(G, D)), tmp_path / "state.pt"):
        with pytest.raises(CheckpointError, match=f"have {channels} channels") as error:
            open_foreign(path)
        assert "grey or RGB" in error.value.hint
    with pytest.raises(CheckpointError, match=f"old.safetensors: its pictures have {channels} channels"):
        checkpoints.read_card(old)


def test_a_model_with_four_channels_from_before_gives_a_sentence_in_every_verb(tmp_path, monkeypatch, capsys):
    (tmp_path / "checkpoints").mkdir()
    with monkeypatch.context() as allowed:
        allowed.setattr(base, "DRAWABLE_CHANNELS", (1, 2, 3, 4))
        G, D = files.tiny(img_channels=4)
        checkpoints.save_snapshot(tmp_path / "checkpoints" / "old.safetensors", G_ema=G, D=D)
    monkeypatch.chdir(tmp_path)
    write(tmp_path, images.encode(np.zeros((16, 16, 3), np.uint8)), "a.png")
    with zipfile.ZipFile("set.zip", "w") as archive:
        archive.write("a.png")
    commands = """
        generate --network old --seeds 1 --outdir out | video --network old --seeds 1,2 --out out.mp4
        project --network old --target a.png --outdir out | metrics --network old --data set.zip --metrics kid1k
        copies --network old --seeds 0-3 --data set.zip --outdir out | directions --network old --method sefa
        statistics --network old --data set.zip --outdir out | nft --network old --seeds 0-3 --outdir drop
        export --network old --format nvidia --dest out.pt | blend --network old --other old --dest new.safetensors
        train --data set.zip --outdir runs --resume old --dry-run | bench --network old --seconds 0.1
        import checkpoints/old.safetensors --dest new.safetensors
    """
    for command in (part.strip() for line in commands.strip().splitlines() for part in line.split("|")):
        assert main(command.split()) == 2, command
        told = capsys.readouterr().err
        assert "its pictures have 4 channels" in told and "hint: choose a model of grey or RGB" in told, command
    main(["models"])
    assert "its pictures have 4 channels" in "".join(capsys.readouterr())


@pytest.mark.parity
def test_a_grey_model_draws_the_picture_of_its_own_tool(reference, tmp_path):
    case = reference.parent / "cases" / "sg2_grey16.pkl"
    if not case.exists():
        pytest.skip(f"no {case}")
    model, expected = open_foreign(case), np.load(case.with_name("sg2_grey16_expected.npz"), allow_pickle=False)
    card = import_model(case, tmp_path / "grey.safetensors")
    recipes = [Recipe.of_seed(int(seed), psi=float(expected["psi"])) for seed in expected["seeds"]]
    pixels = Renderer.open(card.path, device="cpu").render(recipes)
    assert model.spec.img_channels == 1
    assert np.abs(pixels.astype(int) - expected["pixels"]).max() <= 1


def test_pictures_that_are_not_square_are_called_so(tmp_path):
    G, _ = files.tiny()
    wide = dict(G.state_dict())
    for name, tensor in wide.items():
        if name.endswith("const"):
            wide[name] = torch.cat([tensor, tensor], dim=-1)
    torch.save(wide, tmp_path / "state.pt")
    their = files.rosinality(G)
    for name, tensor in their["g_ema"].items():
        if "noises" in name or name == "input.input":
            their["g_ema"][name] = torch.cat([tensor, tensor], dim=-1)
    torch.save(their, tmp_path / "rosinality.pt")
    network = files.persistent(G)
    network.meta["state"]["img_resolution"] = [16, 32]
    write(tmp_path, files.pickled({"G_ema": network}))
    free = files.persistent(files.tiny_alias_free())
    layers = free.meta["state"]["_modules"]["synthesis"].meta["state"]["_modules"]
    layers["L4_16_3"].meta["state"]["out_size"] = np.array([32, 16])
    write(tmp_path, files.pickled({"G_ema": free}), "free.pkl")
    for name in ("state.pt", "rosinality.pt", "model.pkl", "free.pkl"):
        with pytest.raises(CheckpointError, match="its pictures are not square: 32 × 16"):
            open_foreign(tmp_path / name)


@pytest.mark.parametrize("name", ["network-snapshot-000400.pkl", "my model.pt"])
@pytest.mark.parametrize("verb", ["generate --seeds 1 --outdir out", "video --seeds 1,2 --out out.mp4"])
def test_a_file_of_another_tool_is_told_the_command_that_imports_it(tmp_path, name, verb, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    G, D = files.tiny()
    write(tmp_path, files.snapshot(G, D), name)
    assert main([*verb.split(), "--network", name]) == 2
    told = capsys.readouterr().err
    command = told.split("import it first: python -m ganlib ")[1].strip()
    assert "of another tool" in told
    assert main(shlex.split(command)) == 0
    assert main(["generate", "--network", name.rsplit(".", 1)[0], "--seeds", "1", "--outdir", "out"]) == 0
