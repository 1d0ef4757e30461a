"""What is one row of a registry is known everywhere: each test adds a kind of thing, and touches no other file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from torch import Tensor, nn

from ganlib import features, modelcard
from ganlib.__main__ import main
from ganlib.checkpoints import load_generator, read_card
from ganlib.dataset import Dataset
from ganlib.features import FeatureExtractor, Opener
from ganlib.metrics import KINDS, Kind, Known, Seen, generated_pictures
from ganlib.metrics.results import read_figures
from ganlib.training.doctor import best_snapshot
from tests.pages.conftest import checkpoints, main_module  # noqa: F401
from tests.test_help import help_of
from tests.test_metrics import write_set


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
    monkeypatch.setitem(features.OPENERS, "brightness", Opener("their brightness", "How bright.", lambda d: extractor))
    row = Kind(
        "bright", "How bright", "difference of brightness", "Told from **brightness** alone.", brightness_difference,
        features="brightness", keeps_vectors=False, enough=30, doubt="{few} pictures are few, {enough} are not",
        rank=-1,
    )  # fmt: skip
    monkeypatch.setitem(KINDS, row.key, row)


def test_a_kind_of_metric_is_measured_from_the_command_line(brightness, checkpoints, tmp_path, capsys):  # noqa: F811
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
    assert card.metrics == record["results"] and "- bright" in modelcard.card_markdown(card)
    assert main(["metrics", "--network", str(model), "--data", str(data), "--metrics", "dull20"]) != 0
    assert "bright (difference of brightness)" in capsys.readouterr().err


def test_a_kind_of_metric_decides_which_snapshot_is_best(brightness):
    def lines(name: str, *values: float) -> list[dict[str, object]]:
        files = (f"network-snapshot-{kimg:06d}.safetensors" for kimg in range(len(values)))
        return [{"results": {name: v}, "snapshot_pkl": file} for v, file in zip(values, files, strict=True)]

    both = {"kid1k": lines("kid1k", 0.1, 0.2), "bright1k": lines("bright1k", 9.0, 3.0)}
    assert best_snapshot(both) == ("network-snapshot-000001.safetensors", 3.0)


def test_a_kind_of_metric_is_a_choice_of_evaluate(brightness, checkpoints, tmp_path, repository):  # noqa: F811
    (tmp_path / "data").mkdir()
    write_set(tmp_path / "data" / "set.zip")
    app = AppTest.from_file(str(Path(repository) / "pages" / "evaluate.py"), default_timeout=180)
    app.query_params["model"], app.query_params["kinds"] = "tiny", "bright"
    app.run()
    assert not app.exception
    assert "How bright" in app.pills(key="evaluate-kinds").options
    assert "their brightness" in app.selectbox(key="evaluate-features").options
    assert "Told from **brightness** alone." in [caption.value for caption in app.caption]
