"""What is one row of a registry is known everywhere: each test adds a kind of thing, and touches no other file."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from asking import agreed
from PIL import Image
from streamlit.testing.v1 import AppTest
from torch import Tensor, nn

from ganlib import model_card
from ganlib.__main__ import main
from ganlib.base.errors import CheckpointError
from ganlib.dataset import Dataset
from ganlib.dataset import augment as copying
from ganlib.features import extractors
from ganlib.features.extractors import FeatureExtractor, Opener
from ganlib.latents.recipes import Recipe
from ganlib.media import images
from ganlib.media.images import encode
from ganlib.metrics import KINDS, Kind, Known, Seen, generated_pictures
from ganlib.metrics.results import read_figures
from ganlib.models.checkpoints import list_checkpoints, load_generator, read_card
from ganlib.models.export import EXPORTS, Export, export_model
from ganlib.models.foreign.parts import Parts
from ganlib.models.foreign.pickles import Budget
from ganlib.models.foreign.reader import IMPORTS, Import, open_foreign
from ganlib.nft.traits import TRAITS, Pieces, TraitKind
from ganlib.superres.networks import FAMILIES, Family, NetworkSpec, UpscalerNetwork, known_families
from ganlib.superres.registry import KNOWN, KnownModel
from ganlib.superres.weights import open_network
from ganlib.training.presets import PRESETS, Preset
from ganlib.training.watch.doctor import best_snapshot
from pages._ui.common import model_cache
from tests.commands.test_help import help_of
from tests.metrics.test_metrics import write_set


class Brightness(nn.Module):
    """The mean of all values, from 0 to 255."""

    def forward(self, rgb: Tensor) -> Tensor:
        return rgb.mean(dim=(1, 2, 3))[:, None]


def brightness_difference(seen: Seen) -> dict[str, Known]:
    return {"": Known(abs(float(seen.rows.mean() - seen.real.mean[0])))}


@pytest.fixture
def brightness(monkeypatch, tmp_path):
    """A kind of metric, and the features that it is about."""
    monkeypatch.setenv("GANLIB_CACHE", str(tmp_path / "cache"))
    extractor = FeatureExtractor("brightness", 1, 16, "cd" * 32, Brightness())
    monkeypatch.setitem(
        extractors.OPENERS, "brightness", Opener("their brightness", "How bright.", lambda d: extractor)
    )
    row = Kind(
        "bright", "How bright", "difference of brightness", "Told from **brightness** alone.", brightness_difference,
        features="brightness", keeps_vectors=False, enough=30, doubt="{few} pictures are few, {enough} are not",
        rank=-1,
    )  # fmt: skip
    monkeypatch.setitem(KINDS, row.key, row)


def test_a_kind_of_metric_is_measured_from_the_command_line(brightness, checkpoints, tmp_path, capsys):
    assert "bright" in help_of("metrics") and "bright" in help_of("train")
    (model,) = checkpoints.glob("*.safetensors")
    data = write_set(tmp_path / "set.zip")
    argv = ["metrics", "--network", str(model), "--data", str(data), "--metrics", "bright20_full", "--real-floor"]
    assert main([*argv, "--dry-run"]) == 0 and main([*argv, "--outdir", str(tmp_path / "m")]) == 0
    assert "20 generated pictures are few, 30 are not" in capsys.readouterr().out
    (path,) = (tmp_path / "m").glob("metric-*.jsonl")
    record = json.loads(path.read_text())
    dataset = Dataset.open(data)
    real = np.stack([dataset[i][0] for i in range(len(dataset))]).mean()
    fake = np.concatenate(list(generated_pictures(load_generator(model), 20, labels=None, seed=0))).mean()
    assert record["results"] == {"bright20_full_brightness": pytest.approx(abs(fake - real), rel=1e-3)}
    assert {figure.name for figure in read_figures(tmp_path / "m")} == {"bright20_full_brightness"}
    card = read_card(model)
    assert card.metrics == record["results"] and "- bright" in model_card.card_markdown(card)
    assert main(["metrics", "--network", str(model), "--data", str(data), "--metrics", "dull20"]) != 0
    assert "bright (difference of brightness)" in capsys.readouterr().err


def test_a_kind_of_metric_decides_which_snapshot_is_best(brightness):
    def lines(name: str, *values: float) -> list[dict[str, object]]:
        files = (f"network-snapshot-{kimg:06d}.safetensors" for kimg in range(len(values)))
        return [{"results": {name: v}, "snapshot_pkl": file} for v, file in zip(values, files, strict=True)]

    both = {"kid1k": lines("kid1k", 0.1, 0.2), "bright1k": lines("bright1k", 9.0, 3.0)}
    assert best_snapshot(both) == ("network-snapshot-000001.safetensors", 3.0)


def test_a_kind_of_metric_is_a_choice_of_evaluate(brightness, checkpoints, tmp_path, repository):
    (tmp_path / "data").mkdir()
    write_set(tmp_path / "data" / "set.zip")
    app = AppTest.from_file(str(Path(repository) / "pages" / "evaluate.py"), default_timeout=180)
    app.query_params["model"], app.query_params["kinds"] = "tiny", "bright"
    app.run()
    assert not app.exception
    assert "How bright" in app.pills(key="evaluate-kinds").options
    assert "their brightness" in app.selectbox(key="evaluate-features").options
    assert "Told from **brightness** alone." in [caption.value for caption in app.caption]


def test_a_format_of_exports_is_a_choice_of_the_command_and_of_the_page(checkpoints, monkeypatch, tmp_path, repository):
    def save(G: object, D: object, path: Path, facts: dict[str, str], report: object) -> None:
        path.write_text(json.dumps(facts))

    row = Export("plain-text", ".txt", "Plain text", "For **readers**.", lambda spec: "", save=save)
    monkeypatch.setitem(EXPORTS, row.name, row)
    assert "plain-text: Plain text (.txt)" in help_of("export")
    (model,) = checkpoints.glob("*.safetensors")
    dest = tmp_path / "model.txt"
    assert main(["export", "--network", str(model), "--format", "plain-text", "--dest", str(dest)]) == 0
    assert json.loads(dest.read_text())["title"] == read_card(model).title
    app = AppTest.from_file(str(Path(repository) / "pages" / "models.py"), default_timeout=180)
    app.query_params["model"] = "tiny"
    app.run()
    assert not app.exception
    assert any("Plain text (.txt)" in box.options for box in app.selectbox)


def test_an_upscaling_model_is_a_choice_of_the_command_and_of_the_page(
    checkpoints, monkeypatch, tmp_path, capsys, repository
):
    monkeypatch.setenv("GANLIB_CACHE", str(tmp_path / "cache"))
    row = KnownModel("toy-x4", "Makes toys.", "https://example.org/toy-x4.pth", 10, "0" * 64, 4, "CC0-1.0", "Ada")
    monkeypatch.setitem(KNOWN, row.name, row)
    assert main(["upscale", "--list"]) == 0 and "Makes toys." in capsys.readouterr().out
    upload = encode(np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "a.png").write_bytes(upload)
    argv = ["upscale", "--source", str(tmp_path / "a.png"), "--dest", str(tmp_path / "out"), "--model", "toy-x4"]
    assert main(argv) == 2 and "the model toy-x4 is not on this machine" in capsys.readouterr().err
    app = AppTest.from_file(str(Path(repository) / "pages" / "upscale.py"), default_timeout=180).run()
    app.file_uploader(key="upscale-upload").set_value(
        ("a.png", encode(np.zeros((8, 8, 3), np.uint8)), "image/png")
    ).run()
    assert not app.exception
    assert "toy-x4 (not here yet)" in app.selectbox(key="upscale-model").options


def test_a_family_of_upscaling_networks_is_read_from_its_tensors(monkeypatch, tmp_path):
    class Twice(UpscalerNetwork):
        def __init__(self, spec: NetworkSpec) -> None:
            super().__init__()
            self.scale, self.reach, self.floats_per_pixel, self.title = spec.scale, 0, 12, "twice"
            self.gain = nn.Parameter(torch.ones(1, spec.features, 1, 1))

        def forward(self, rgb: Tensor) -> Tensor:
            return nn.functional.interpolate(rgb * self.gain, scale_factor=self.scale)

    def read(tensors: dict[str, Tensor]) -> NetworkSpec | None:
        return NetworkSpec("twice", 2, 3, 1) if tensors.keys() == {"gain"} else None

    torch.save({"gain": torch.full((1, 3, 1, 1), 0.5)}, tmp_path / "twice.pth")
    with pytest.raises(CheckpointError):
        open_network(tmp_path / "twice.pth")
    monkeypatch.setitem(FAMILIES, "twice", Family("Toys", Twice, read))
    opened = open_network(tmp_path / "twice.pth")
    assert torch.equal(opened.network(torch.ones(1, 3, 2, 2)), torch.full((1, 3, 4, 4), 0.5))
    assert "Toys" in known_families()


def test_a_preset_is_a_choice_of_the_command_and_of_the_page(checkpoints, monkeypatch, tmp_path, repository, capsys):
    monkeypatch.setitem(PRESETS, "toy", Preset("A toy", "Seconds, for **nothing**.", {"kimg": 0.25, "batch": 2}))
    assert "toy" in help_of("train")
    data = write_set(tmp_path / "set.zip")
    assert main(["train", "--data", str(data), "--preset", "toy", "--dry-run"]) == 0
    assert '"kimg": 0.25' in capsys.readouterr().out
    app = AppTest.from_file(str(Path(repository) / "pages" / "train.py"), default_timeout=180)
    app.query_params["preset"], app.query_params["data"] = "toy", str(data)
    agreed(app.run())
    assert not app.exception
    assert app.selectbox(key="preset").value == "toy" and "A toy" in app.selectbox(key="preset").options
    assert "Seconds, for **nothing**." in [caption.value for caption in app.caption]


def test_a_kind_of_traits_is_a_choice_of_nft_and_of_drop(checkpoints, monkeypatch, tmp_path, repository):
    def parity(pieces: Pieces) -> list[tuple[str, list[str]]]:
        return [("Parity", ["odd" if int(each.seeds[0][0]) % 2 else "even" for each in pieces.recipes])]

    monkeypatch.setitem(TRAITS, "parity", TraitKind("odd or even", "parity", parity))
    assert "parity" in help_of("nft")
    (model,) = checkpoints.glob("*.safetensors")
    argv = ["nft", "--network", str(model), "--seeds", "3-6", "--traits", "parity", "--outdir", str(tmp_path / "drop")]
    assert main(argv) == 0
    table = (tmp_path / "drop" / "rarity.csv").read_text()
    assert table.startswith("number,rank,score,Parity\n0,1,1.0,odd\n1,2,1.0,even\n")
    app = AppTest.from_file(str(Path(repository) / "pages" / "drop.py"), default_timeout=180)
    app.query_params["model"] = "tiny"
    app.run()
    assert not app.exception and "odd or even" in app.multiselect(key="drop-traits").options


def test_a_kind_of_copies_is_a_choice_of_prepare(monkeypatch):
    monkeypatch.setitem(copying.KINDS, "negative", copying.Kind("as a negative", lambda pixels: 255 - pixels))
    assert "negative" in help_of("prepare")
    pixels = np.full((2, 2, 3), 5, np.uint8)
    assert copying.plan(("negative",), None) == [("negative",)]
    assert (copying.augment(pixels, ("negative",), name="a", number=0) == 250).all()


def test_a_format_of_pictures_is_a_choice_of_upscale(checkpoints, monkeypatch, tmp_path, repository):
    def save(picture: Image.Image, out: BytesIO, recipe: str | None, mark_ai: bool, quality: int) -> None:
        picture.save(out, "BMP")

    row = images.PictureFormat("Bitmap", (".bmp",), "image/bmp", save, has_alpha=False)
    monkeypatch.setitem(images.PICTURE_FORMATS, "bmp", row)
    assert "bmp" in help_of("upscale")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(encode(np.zeros((8, 8, 3), np.uint8)))
    argv = ["upscale", "--source", str(tmp_path / "pictures"), "--scale", "2", "--format", "bmp"]
    assert main([*argv, "--dest", str(tmp_path / "larger")]) == 0
    assert (tmp_path / "larger" / "a.bmp").read_bytes()[:2] == b"BM"
    app = AppTest.from_file(str(Path(repository) / "pages" / "upscale.py"), default_timeout=180).run()
    upload = ("a.png", encode(np.zeros((8, 8, 3), np.uint8)), "image/png")
    app.file_uploader(key="upscale-upload").set_value([upload]).run()
    assert "bmp" in app.segmented_control(key="upscale-format").options


def test_a_format_of_imports_is_read(checkpoints, monkeypatch, tmp_path):
    (model,) = checkpoints.glob("*.safetensors")
    export_model(model, tmp_path / "plain.pt", "nvidia")
    table = torch.load(tmp_path / "plain.pt", weights_only=True)
    torch.save({"toybox": table}, tmp_path / "toy.pt")

    def parts(value: object, budget: Budget) -> Parts | None:
        inside = value.get("toybox") if isinstance(value, dict) else None
        return IMPORTS["tensors"].parts(inside, budget) if inside is not None else None

    with pytest.raises(CheckpointError, match="toybox"):
        open_foreign(tmp_path / "toy.pt")
    monkeypatch.setitem(IMPORTS, "toy", Import("Toy boxes", parts))
    found, known = open_foreign(tmp_path / "toy.pt"), load_generator(model)
    assert found.spec.resolution == known.spec.resolution
    assert torch.equal(found.G_ema.w_avg, known.w_avg)
    (tmp_path / "none.pt").write_text("nothing")
    with pytest.raises(CheckpointError) as refused:
        open_foreign(tmp_path / "none.pt")
    assert "Toy boxes" in refused.value.hint


def test_an_order_of_the_wall_is_a_choice_of_the_gallery(checkpoints, monkeypatch, repository):
    backwards = model_cache.Sort("backwards", lambda opened, recipes: list(range(len(recipes)))[::-1])
    monkeypatch.setitem(model_cache.SORTS, "backwards", backwards)
    (model,), _ = list_checkpoints(checkpoints)
    recipes = [Recipe.of_seed(seed, psi=0.7) for seed in (3, 1, 2)]
    assert model_cache.sort_recipes(model, recipes, "backwards") == recipes[::-1]
    app = AppTest.from_file(str(Path(repository) / "pages" / "gallery.py"), default_timeout=180)
    app.query_params["model"] = "tiny"
    app.run()
    assert not app.exception and "backwards" in app.selectbox(key="gallery-order").options
