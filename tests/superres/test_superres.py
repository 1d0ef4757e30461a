"""Upscaling networks, their files, and one picture through them: tiles, alpha, sizes."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from ganlib.base.errors import CheckpointError, DeviceError, HubError, InputError
from ganlib.media import images
from ganlib.superres import EMBEDDED, choices, choose_size, download_model, find_model, open_upscaler, registry
from ganlib.superres.networks import NetworkSpec, build, infer_spec, tensors_of
from ganlib.superres.training import lattice, start_network
from ganlib.superres.upscaler import Upscaler, bleed_colours
from ganlib.superres.weights import Card, open_network, read_card, save

SRVGG = NetworkSpec("srvgg", 4, 6, 3)
RRDB = NetworkSpec("rrdb", 4, 8, 2, 4)
RRDB_TWICE = NetworkSpec("rrdb", 2, 8, 2, 4, 2)


def picture(height: int = 50, width: int = 70, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 255, (height // 5, width // 5, 3), np.uint8)
    return images.resize(noise, width, height)


def upscaler(spec: NetworkSpec = SRVGG, tile: int = 0) -> Upscaler:
    torch.manual_seed(1)
    network = start_network(spec, 1) if spec is SRVGG else build(spec)
    return Upscaler(network.eval().requires_grad_(False), Card("Tiny"), "tiny", "0" * 64, torch.device("cpu"), tile)


# --- networks and their files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [SRVGG, NetworkSpec("srvgg", 2, 7, 1), RRDB, RRDB_TWICE], ids=str)
@pytest.mark.parametrize("wrap", ["params", "params_ema", ""])
def test_a_spec_is_read_from_the_shapes_of_the_tensors(tmp_path, spec, wrap):
    network = build(spec)
    state = network.state_dict()
    torch.save({wrap: state, "iter": 5} if wrap else state, tmp_path / "net.pth")
    opened = open_network(tmp_path / "net.pth")
    assert infer_spec(opened.network.state_dict()) == spec and opened.network.scale == spec.scale
    rgb = torch.rand(1, 3, 9, 13)
    with torch.no_grad():
        assert torch.equal(opened.network(rgb), network(rgb))
        assert opened.network(rgb).shape == (1, 3, 9 * spec.scale, 13 * spec.scale)


def test_the_first_names_of_esrgan_are_understood():
    new = build(RRDB).state_dict()

    def old(name: str) -> str:
        for modern, first in (
            ("conv_first.", "model.0."), ("conv_body.", "model.1.sub.2."), ("conv_up1.", "model.3."),
            ("conv_up2.", "model.6."), ("conv_hr.", "model.8."), ("conv_last.", "model.10."),
        ):  # fmt: skip
            if name.startswith(modern):
                return name.replace(modern, first)
        _, block, dense, conv, kind = name.split(".")
        return f"model.1.sub.{block}.{dense.upper()}.{conv}.0.{kind}"

    renamed = tensors_of({old(name): tensor for name, tensor in new.items()})
    assert renamed.keys() == new.keys() and infer_spec(renamed) == RRDB


def test_real_esrgans_small_network_loads_with_its_sizes(repository, tmp_path):
    folder = Path(os.environ.get("ATELIER_WEIGHTS", repository.parent / "shared" / "weights"))
    path = folder / "realesr-general-x4v3.pth"
    if not path.is_file():
        pytest.skip(f"no {path}; ATELIER_WEIGHTS names another folder")
    opened = open_network(path)
    assert infer_spec(opened.network.state_dict()) == NetworkSpec("srvgg", 4, 64, 32)
    small = images.resize(picture(20, 20) // 4 + 96, 32, 24)
    large = Upscaler(opened.network, opened.card, "g", opened.digest, torch.device("cpu")).native(small)
    back = images.resize(large, 32, 24).astype(int)
    assert large.shape == (96, 128, 3) and np.abs(back - small).mean() < 6


def test_a_file_of_ours_keeps_its_card(tmp_path):
    card = Card("Mine", "CC0-1.0", "my paintings", "a command", {"psnr": 23.5})
    network = start_network(SRVGG, 0)
    path = save(tmp_path / "mine.safetensors", SRVGG, network, card)
    opened = open_network(path)
    assert opened.card == card == read_card(path)
    assert all(torch.equal(a.half(), b.half()) for a, b in zip(
        network.state_dict().values(), opened.network.state_dict().values(), strict=True))  # fmt: skip


def test_training_begins_with_bilinear_enlargement():
    spec = NetworkSpec("srvgg", 4, 8, 3)
    network = start_network(spec, 0)
    last = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)][-1]
    with torch.no_grad():
        last.weight[:, 3:] = 0  # the random part
        rgb = torch.rand(1, 3, 12, 12)
        plain = nn.functional.interpolate(rgb, scale_factor=4, mode="bilinear", align_corners=False)
        assert torch.allclose(network(rgb)[..., 8:-8, 8:-8], plain[..., 8:-8, 8:-8], atol=1e-5)


class Evil:
    def __reduce__(self):
        return os.system, ("echo ran > ran.txt",)


def test_hostile_and_broken_files_are_refused_in_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = build(SRVGG).state_dict()
    torch.save({"params": Evil()}, tmp_path / "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"params": Evil()}))
    torch.save(good, tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:-4000])
    (tmp_path / "page.pth").write_text("<!doctype html><p>not found")
    (tmp_path / "empty.pth").touch()
    (tmp_path / "short.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    torch.save(good | {"body.0.weight": torch.full((6, 3, 3, 3), float("nan"))}, tmp_path / "nan.pth")
    torch.save({k: v for k, v in good.items() if k != "body.2.bias"}, tmp_path / "missing.pth")
    torch.save(good | {"body.8.weight": torch.zeros(3 * 400, 6, 3, 3)}, tmp_path / "huge.pth")
    torch.save({"a": 1, "b": [2]}, tmp_path / "other.pth")
    torch.save({"layer.weight": torch.zeros(2)}, tmp_path / "unknown.pth")
    names = ("evil", "plain", "cut", "page", "empty", "nan", "missing", "huge", "other", "unknown")
    for path in [*(tmp_path / f"{name}.pth" for name in names), tmp_path / "short.safetensors", tmp_path / "no.pth"]:
        with pytest.raises(CheckpointError) as refused:
            open_network(path)
        assert path.name in refused.value.message and refused.value.hint, path
    assert not (tmp_path / "ran.txt").exists()


def test_other_architectures_are_left_to_spandrel_with_tensors_alone(tmp_path, monkeypatch):
    class Unsupported(Exception):
        pass

    class Loader:
        def __init__(self, device):
            assert device == "cpu"

        def load_from_state_dict(self, state):
            if "known.weight" not in state:
                raise Unsupported
            model = nn.Upsample(scale_factor=3, mode="nearest")
            descriptor = SimpleNamespace(
                model=model, scale=3, architecture=SimpleNamespace(name="Thrice"), input_channels=3, output_channels=3
            )
            descriptor.eval = lambda: SpandrelLike(descriptor)
            return descriptor

    class SpandrelLike:
        def __init__(self, descriptor):
            self.__dict__.update(vars(descriptor))

        def __call__(self, rgb):
            return self.model(rgb)

    module = ModuleType("spandrel")
    module.ModelLoader, module.UnsupportedModelError = Loader, Unsupported
    monkeypatch.setitem(sys.modules, "spandrel", module)
    torch.save({"known.weight": torch.zeros(2)}, tmp_path / "a.pth")
    torch.save({"other.weight": torch.zeros(2)}, tmp_path / "b.pth")
    opened = open_network(tmp_path / "a.pth")
    assert opened.network.scale == 3 and opened.network.title == "Thrice ×3"
    assert Upscaler(opened.network, opened.card, "a", "", torch.device("cpu")).native(picture()).shape == (150, 210, 3)
    with pytest.raises(CheckpointError, match="spandrel does not know"):
        open_network(tmp_path / "b.pth")


def test_without_spandrel_the_words_say_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "spandrel", None)
    torch.save({"other.weight": torch.zeros(2)}, tmp_path / "b.pth")
    with pytest.raises(CheckpointError) as refused:
        open_network(tmp_path / "b.pth")
    assert "pip install" in refused.value.hint


# --- models by name ---------------------------------------------------------------------------------------------------


def test_the_embedded_model_is_small_free_and_has_its_numbers():
    path = find_model(EMBEDDED)
    card = read_card(path)
    assert path.stat().st_size < 1_500_000 and card.licence == "CC0-1.0" and "public domain" in card.data
    assert card.metrics["distance"] < card.metrics["lanczos_distance"]
    assert card.metrics["psnr"] > card.metrics["lanczos_psnr"] - 0.5
    assert open_upscaler(EMBEDDED).native(picture(16, 20)).shape == (64, 80, 3)


def test_the_embedded_model_draws_no_lattice_into_smooth_areas():
    coarse = images.from_pixels(picture(20, 20)[None] // 2 + 64)
    small = nn.functional.interpolate((coarse + 1) / 2, size=(96, 96), mode="bicubic", align_corners=False)
    plain = nn.functional.interpolate(small, scale_factor=4, mode="bicubic", align_corners=False)
    with torch.no_grad():
        error = open_network(find_model(EMBEDDED)).network(small) - plain
    # In grey levels, away from the edges; 0.62 before training was kept from it, and visible.
    assert 255 * float(lattice(error[..., 48:-48, 48:-48], 4)) < 0.4


def test_known_models_are_named_with_licence_and_checksum_and_fetched_on_request(tmp_path, monkeypatch):
    monkeypatch.setenv("GANLIB_CACHE", str(tmp_path))
    assert [row.name for row in registry.KNOWN.values()] == list(registry.KNOWN)
    assert all(len(row.sha256) == 64 and row.licence and row.bytes for row in registry.KNOWN.values())
    with pytest.raises(InputError) as missing:
        find_model("realesr-general-x4v3")
    assert "BSD-3-Clause" in missing.value.message and "--download" in missing.value.hint
    asked = []

    def fetch(wanted, dest, *, reporter=None):
        asked.append((wanted.address, wanted.sha256, wanted.bytes))
        if len(asked) == 1:
            raise HubError("no network")
        dest.parent.mkdir(parents=True)
        torch.save({"params": build(SRVGG).state_dict()}, dest)

    monkeypatch.setattr(registry, "fetch", fetch)
    with pytest.raises(HubError):
        download_model("realesr-general-x4v3")
    path = download_model("realesr-general-x4v3")
    assert download_model("realesr-general-x4v3") == path == find_model("realesr-general-x4v3")
    row = registry.KNOWN["realesr-general-x4v3"]
    assert asked == [(row.address, row.sha256, row.bytes)] * 2
    with pytest.raises(InputError, match="no address"):
        download_model("nonsense")


def test_files_of_a_persons_own_are_listed(tmp_path, monkeypatch):
    monkeypatch.setenv("GANLIB_CACHE", str(tmp_path))
    folder = registry.models_folder()
    folder.mkdir()
    save(folder / "mine.safetensors", SRVGG, start_network(SRVGG, 0), Card("Mine", "CC0-1.0"))
    (folder / "broken.safetensors").write_bytes(b"x")
    rows = {choice.name: choice for choice in choices()}
    assert next(iter(rows)) == EMBEDDED and rows["mine"].licence == "CC0-1.0" and rows["broken"].licence == ""
    assert find_model("mine") == folder / "mine.safetensors"


# --- one picture ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [SRVGG, RRDB], ids=str)
def test_tiles_give_the_picture_that_the_whole_gives(spec):
    small = picture(90, 130)
    whole = upscaler(spec, 4096).native(small).astype(int)
    tiled = upscaler(spec, 32).native(small).astype(int)
    assert whole.shape == (360, 520, 3) and np.abs(whole - tiled).max() <= 1


@pytest.mark.parametrize("height, width", [(1, 1), (1, 40), (3, 2), (33, 31)])
def test_small_and_odd_pictures_are_enlarged(height, width):
    small = np.full((height, width, 3), 120, np.uint8)
    large = upscaler(tile=32).native(small)
    assert large.shape == (4 * height, 4 * width, 3)


def test_tiles_are_halved_where_memory_runs_out():
    small = picture(80, 80)
    one, other = upscaler(tile=4096), upscaler(tile=4096)
    through, sizes = other._through, []

    def scarce(part):
        sizes.append(max(part.shape))
        if max(part.shape) > 60:
            raise MemoryError
        return through(part)

    other._through = scarce
    ticks = []
    assert np.abs(one.native(small).astype(int) - other.native(small, ticks.append)).max() <= 1
    assert sizes[0] == 90 and sum(ticks) == pytest.approx(80 * 80 / 1e6)
    other._through = lambda part: (_ for _ in ()).throw(MemoryError)
    with pytest.raises(DeviceError, match="out of memory"):
        other.native(small)


def test_the_tile_follows_the_free_memory(monkeypatch):
    it = upscaler()
    for free, least, most in ((0, 32, 256), (10**6, 32, 32), (10**12, 256, 256)):
        monkeypatch.setattr("ganlib.superres.upscaler.free_bytes", lambda device, free=free: free)
        assert least <= it.tile_side() <= most
    monkeypatch.setattr("ganlib.superres.upscaler.free_bytes", lambda device: 10**6)
    with pytest.raises(DeviceError, match="GiB"):
        it.to_size(picture(200, 200), choose_size(200, 200, scale=4))


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5.5, 16])
def test_any_scale_is_met_exactly(scale):
    small = picture(20, 30)
    target = choose_size(30, 20, scale=scale)
    large = upscaler().to_size(small, target)
    assert large.shape == (round(20 * scale), round(30 * scale), 3)
    assert np.abs(images.resize(large, 30, 20).astype(int) - small).mean() < 12


def test_exact_sizes_cut_the_middle_out_or_stretch():
    small = picture(20, 40)
    cut = choose_size(40, 20, size="64x64")
    assert (cut.width, cut.height, cut.box) == (64, 64, (10, 0, 30, 20))
    assert upscaler().to_size(small, cut).shape == (64, 64, 3)
    assert choose_size(40, 20, size="100x80", fit="stretch").box == (0, 0, 40, 20)
    assert (choose_size(40, 20, size="160x").height, choose_size(40, 20, size="X60").width) == (80, 120)
    film = choose_size(41, 21, scale=3, even=True)
    assert (film.width, film.height) == (124, 64)
    wrong = ({"size": "0x5"}, {"size": "big"}, {"size": "x"}, {"size": "10x10"}, {"size": "9000x"}, {"scale": 0.5},
             {"scale": 65}, {"size": "99999x99999"})  # fmt: skip
    for options in wrong:
        with pytest.raises(InputError):
            choose_size(40, 20, **options)


def test_a_network_of_another_scale_goes_as_often_as_it_takes():
    it = upscaler(RRDB_TWICE)
    target = choose_size(10, 8, scale=4)
    assert len(target.steps(it.scale)) == 2 and target.work(it.scale) == pytest.approx((80 + 320) / 1e6)
    assert it.to_size(picture(8, 10), target).shape == (32, 40, 3)


def test_the_last_time_ends_at_the_size():
    assert choose_size(10, 8, scale=2).steps(4) == [(10, 8)]
    assert choose_size(10, 8, scale=30).steps(4) == [(10, 8), (40, 32), (75, 60)]
    assert choose_size(10, 8, scale=5).steps(4) == [(10, 8), (13, 10)]
    assert choose_size(10, 8, scale=3).steps(1) == [(10, 8)]
    assert upscaler().to_size(picture(10, 10), choose_size(10, 10, scale=30)).shape == (300, 300, 3)


def test_alpha_is_apart_and_leaves_no_dark_rim():
    pixels = np.zeros((40, 40, 4), np.uint8)
    pixels[10:30, 10:30] = (200, 100, 50, 255)  # around it: black under alpha 0
    target = choose_size(40, 40, scale=4)
    large = upscaler().to_size(pixels, target)
    assert large.shape == (160, 160, 4) and large[80, 80, 3] == 255 and large[5, 5, 3] == 0
    seen = large[large[..., 3] > 8][:, :3].astype(int)
    assert np.abs(seen - (200, 100, 50)).max() < 24  # the tiny network is not quite exact
    assert (bleed_colours(pixels) == bleed_colours(pixels[::-1])[::-1]).mean() > 0.9
    opaque = np.dstack([picture(40, 40), np.full((40, 40), 255, np.uint8)])
    assert np.array_equal(upscaler().to_size(opaque, target)[..., :3], upscaler().to_size(opaque[..., :3], target))
