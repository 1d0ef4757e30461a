"""Distances agree with the reference, names say what is measured, and measuring disturbs nothing."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ganlib import metrics
from ganlib.__main__ import main
from ganlib.base import workspace
from ganlib.base.errors import InputError
from ganlib.dataset import Dataset
from ganlib.features import extractors
from ganlib.features.extractors import FeatureExtractor
from ganlib.metrics import Metric, parse_metric, parse_metrics
from ganlib.metrics.names import doubt_about
from ganlib.metrics.results import read_figures
from ganlib.models.checkpoints import load_generator, read_card
from ganlib.networks import ARCHITECTURES, tiny_generator
from ganlib.runs import SilentReporter, Stopped


class ColourMoments(nn.Module):
    """Mean and spread of each channel in each quarter: features whose meaning is plain."""

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        x = rgb.unflatten(3, (2, -1)).unflatten(2, (2, -1)) / 64
        return torch.cat([x.mean(dim=(3, 5)), x.std(dim=(3, 5))], dim=1).flatten(1)


@pytest.fixture
def plain_features() -> FeatureExtractor:
    return FeatureExtractor("moments", 24, 16, "ab" * 32, ColourMoments())


def write_set(path: Path, num: int = 40, side: int = 16, seed: int = 0, labels: list[int] | None = None) -> Path:
    rng = np.random.default_rng(seed)
    pairs = []
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(num):
            small = Image.fromarray(rng.integers(0, 256, (3, 3, 3), np.uint8))
            stream = io.BytesIO()
            small.resize((side, side), Image.Resampling.BICUBIC).save(stream, "PNG")
            archive.writestr(f"00000/img{i:08d}.png", stream.getvalue())
            pairs.append([f"00000/img{i:08d}.png", 0 if labels is None else labels[i % len(labels)]])
        archive.writestr("dataset.json", json.dumps({"labels": None if labels is None else pairs}))
    return path


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    return Dataset.open(write_set(tmp_path / "set.zip"))


def gaussian(num: int, dim: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(num, dim)) * scale + shift).astype(np.float32)


# --- distances --------------------------------------------------------------------------------------------------------


@pytest.mark.parity
def test_distances_agree_with_the_reference(reference):
    with np.load(reference / "metrics_from_features.npz", allow_pickle=False) as arrays:
        expected = json.loads(str(arrays["config"]))
        real, fake = arrays["real"], arrays["fake"]
    frechet = metrics.frechet_distance(metrics.stats_of(real), metrics.stats_of(fake))
    assert frechet == pytest.approx(expected["fid"], rel=1e-6)
    kernel = metrics.kernel_distance(real[:250], fake[:250]).value
    assert kernel == pytest.approx(expected["kid_one_subset"], rel=1e-5)
    assert metrics.precision_recall(real, fake, k=3) == pytest.approx(
        (expected["precision_k3"], expected["recall_k3"]), abs=1e-9
    )


def test_known_gaussians_have_their_known_frechet_distance():
    """Independent normals: the squared shift plus the squared differences of the standard deviations."""
    a, b = gaussian(40_000, 3, 0), gaussian(40_000, 3, 1, shift=2.0, scale=3.0)
    expected = 3 * 2.0**2 + 3 * (3.0 - 1.0) ** 2
    assert metrics.frechet_distance(metrics.stats_of(a), metrics.stats_of(b)) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("num", [200, 12], ids=["more rows than dimensions", "fewer rows than dimensions"])
def test_the_same_set_twice_is_at_distance_zero(num):
    x = gaussian(num, 32, 0, shift=5.0)
    assert metrics.frechet_distance(metrics.stats_of(x), metrics.stats_of(x[::-1].copy())) < 1e-8 * x.var() * 32
    assert metrics.precision_recall(x, x.copy()) == (1.0, 1.0)


def test_precision_and_recall_are_not_exchanged():
    """Generated vectors from one half of the reals are precise, and miss the other half."""
    left, right = gaussian(150, 4, 0), gaussian(150, 4, 1, shift=50.0)
    precision, recall = metrics.precision_recall(np.concatenate([left, right]), gaussian(200, 4, 2))
    assert precision > 0.8 and 0.4 < recall <= 0.51


def test_doubles_do_not_shrink_the_balls_away():
    """Collapsed sets have balls of radius zero, which still hold their own centre."""
    x = np.repeat(gaussian(10, 4, 0, shift=100.0), 10, axis=0)
    assert metrics.precision_recall(x, x.copy()) == (1.0, 1.0)


def test_kernel_distance_is_unbiased_and_knows_its_error():
    """Over many pairs of sets from one source the mean is 0, and about 95 % of the intervals hold it."""
    found = [metrics.kernel_distance(gaussian(60, 8, 2 * i), gaussian(50, 8, 2 * i + 1)) for i in range(200)]
    values = np.array([d.value for d in found])
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(len(values))
    assert np.mean([d.ci95[0] <= 0 <= d.ci95[1] for d in found]) > 0.9
    far = [metrics.kernel_distance(gaussian(60, 8, 2 * i), gaussian(50, 8, 2 * i + 1, shift=0.5)) for i in range(200)]
    truth = np.mean([d.value for d in far])
    assert truth > 10 * values.std()
    assert 0.85 < np.mean([d.ci95[0] <= truth <= d.ci95[1] for d in far]) < 1


def test_subsets_estimate_the_same_with_honest_errors():
    a, b = gaussian(400, 8, 0), gaussian(300, 8, 1, shift=0.3)
    whole, cut = metrics.kernel_distance(a, b), metrics.kernel_distance(a, b, subset_size=60)
    assert cut.value != whole.value
    assert abs(cut.value - whole.value) < 3 * cut.standard_error
    assert 0.5 < cut.standard_error / whole.standard_error < 2


def test_rows_are_taken_a_few_at_a_time_without_a_difference(monkeypatch):
    a, b = gaussian(57, 6, 0), gaussian(41, 6, 1, shift=0.4)
    at_once = metrics.kernel_distance(a, b), metrics.precision_recall(a, b), metrics.stats_of(a)
    monkeypatch.setattr("ganlib.metrics.distances.ROWS", 5)
    assert metrics.kernel_distance(a, b).value == pytest.approx(at_once[0].value, rel=1e-6)
    assert metrics.precision_recall(a, b) == at_once[1]
    np.testing.assert_allclose(metrics.stats_of(a).cov, at_once[2].cov, rtol=1e-10)


def test_too_few_vectors_are_refused():
    with pytest.raises(InputError, match="two"):
        metrics.kernel_distance(gaussian(1, 4, 0), gaussian(9, 4, 1))
    with pytest.raises(InputError, match="more than 3"):
        metrics.precision_recall(gaussian(9, 4, 0), gaussian(3, 4, 1))


# --- statistics -------------------------------------------------------------------------------------------------------


def test_streamed_statistics_are_those_of_the_whole():
    x = gaussian(101, 5, 0, shift=1000.0)
    stats, other = metrics.FeatureStats(5, keep=True), metrics.FeatureStats(5, keep=True)
    for part in np.array_split(x[:70], 4):
        stats.append(part)
    stats.append(x[:0])
    other.append(x[70:])
    stats.merge(other)
    np.testing.assert_allclose(stats.mean, x.astype(float).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(stats.cov, np.cov(x.astype(float).T, bias=True), rtol=1e-9, atol=1e-9)
    assert stats.num == 101 and np.array_equal(stats.vectors, x)


def test_statistics_survive_their_file(tmp_path):
    path, stats = tmp_path / "stats.npz", metrics.stats_of(gaussian(9, 4, 0))
    stats.save(path)
    loaded = metrics.FeatureStats.load(path, dim=4, keep=True)
    assert loaded is not None and loaded.num == 9
    assert np.array_equal(loaded.vectors, stats.vectors) and np.array_equal(loaded.cov, stats.cov)
    assert metrics.FeatureStats.load(path, dim=5, keep=True) is None
    path.write_bytes(path.read_bytes()[:100])
    assert metrics.FeatureStats.load(path, dim=4, keep=True) is None


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        ("kid1k", Metric("kid", 1000)),
        (" FID50k_full ", Metric("fid", 50_000, full=True)),
        ("pr50k3_full_squeezenet", Metric("pr", 50_000, True, "squeezenet")),
        ("pr203_fruit-d", Metric("pr", 203, False, "fruit-d")),
        ("kid512_full_my-model-2-d", Metric("kid", 512, True, "my-model-2-d")),
        ("pr50k3_full", Metric("pr", 50_000, full=True)),
        ("is50k_inception", Metric("is", 50_000, features="inception")),
        ("ppl2_wend", Metric("ppl", 50_000)),
        ("ppl2_wend1k_lpips-vgg", Metric("ppl", 1000, features="lpips-vgg")),
        ("ppl250", Metric("ppl", 250)),
    ],
)
def test_a_name_says_what_is_measured(text, metric):
    assert parse_metric(text) == metric
    assert parse_metric(str(metric)) == metric


WRONG_NAMES = ["", "kid", "is50k_full", "ppl2_wend_full", "ppl_wend", "ppl2_wend2", "kid0k"]
WRONG_NAMES += ["kid2", "kid1k_", "kid9999999k", "kid-1k", "1k", "kid1k full", "kid1k_full_full"]


@pytest.mark.parametrize("name", ["fid50k_full", "kid50k_full", "pr50k3_full", "ppl2_wend", "is50k"])
def test_nvidias_names_stay_as_they_are(name):
    assert str(parse_metric(name)) == name


@pytest.mark.parametrize("text", WRONG_NAMES)
def test_a_wrong_name_gets_an_example(text):
    with pytest.raises(InputError) as caught:
        parse_metric(text)
    assert caught.value.hint


def test_none_is_no_metric():
    assert parse_metrics("none") == parse_metrics("") == []
    assert [str(m) for m in parse_metrics("kid1k, pr2k,kid1k")] == ["kid1k", "pr2k3"]
    with pytest.raises(InputError):
        parse_metrics("none,kid1k")


# --- measuring --------------------------------------------------------------------------------------------------------


def test_a_record_has_nvidias_form_and_the_features_name(dataset, plain_features, tmp_path):
    snapshot = "network-snapshot-000010.safetensors"
    record = metrics.evaluate("kid20", tiny_generator().eval(), dataset, extractor=plain_features, snapshot=snapshot)
    assert list(record["results"]) == ["kid20_moments"] == [record["metric"]]
    low, high = record["ci95"]["kid20_moments"]
    assert low < record["results"]["kid20_moments"] < high
    assert (record["snapshot_pkl"], record["num_gpus"], record["seed"]) == (snapshot, 1, 0)
    assert record["total_time"] > 0 and record["total_time_str"] and record["timestamp"] > 1e9
    assert (record["num_real"], record["num_fake"], record["features"]["digest"]) == (20, 20, "ab" * 32)
    for _ in range(2):
        path = metrics.append_record(tmp_path / "run", record)
    assert path.name == "metric-kid20_moments.jsonl"
    assert [json.loads(line) for line in path.read_text().splitlines()] == [record] * 2


@pytest.mark.parametrize("arch", sorted(ARCHITECTURES))
def test_every_family_is_measured_without_disturbing_anything(arch, dataset, plain_features):
    G_ema = tiny_generator(arch).eval()
    before = {name: tensor.clone() for name, tensor in G_ema.state_dict().items()}
    torch.manual_seed(5)
    np.random.seed(5)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    records = metrics.evaluate_all(["fid12", "pr8"], G_ema, dataset, extractor=plain_features)
    assert torch.equal(torch.get_rng_state(), states[0]) and np.array_equal(np.random.get_state()[1], states[1])
    assert all(torch.equal(tensor, before[name]) for name, tensor in G_ema.state_dict().items())
    again = metrics.evaluate_all(["fid12", "pr8"], G_ema, dataset, extractor=plain_features)
    assert [r["results"] for r in records] == [r["results"] for r in again]
    assert set(records[1]["results"]) == {"pr8_moments_precision", "pr8_moments_recall"}
    other = metrics.evaluate("fid12", G_ema, dataset, extractor=plain_features, seed=1)
    assert other["results"] != records[0]["results"]


def test_pictures_of_a_seed_do_not_depend_on_their_number(plain_features):
    G_ema = tiny_generator().eval()
    many = np.concatenate(list(metrics.generated_pictures(G_ema, 70, labels=None, seed=3)))
    few = np.concatenate(list(metrics.generated_pictures(G_ema, 5, labels=None, seed=3)))
    assert many.shape == (70, 16, 16, 3) and len(np.unique(many, axis=0)) == 70
    assert np.abs(many[:5].astype(int) - few.astype(int)).max() <= 1


def test_shared_pictures_give_the_figures_of_separate_ones(dataset, plain_features, monkeypatch):
    """Also when one metric names its features and another leaves them to be found."""
    monkeypatch.setattr(extractors, "squeezenet_file", lambda: None)
    openers = dict.fromkeys(("embedded", "moments"), lambda device: replace(plain_features))
    monkeypatch.setattr(extractors, "OPENERS", openers)
    G_ema, names = tiny_generator().eval(), ["kid10", "kid20_moments", "fid10"]
    for name, record in zip(names, metrics.evaluate_all(names, G_ema, dataset), strict=True):
        alone = metrics.evaluate(name, G_ema, dataset, extractor=plain_features)
        assert (record["num_real"], record["num_fake"]) == (alone["num_real"], alone["num_fake"])
        assert list(alone["results"].values()) == pytest.approx(list(record["results"].values()), rel=1e-3, abs=1e-6)


def test_classes_come_from_the_datas_distribution(tmp_path, plain_features):
    labelled = Dataset.open(write_set(tmp_path / "labelled.zip", labels=[0, 2, 2, 2]))
    G_ema, seen = tiny_generator(label_dim=3).eval(), []
    G_ema.mapping.register_forward_hook(lambda module, inputs, output: seen.append(inputs[1]))
    metrics.evaluate("kid200", G_ema, labelled, extractor=plain_features)
    share = torch.cat(seen).mean(dim=0)
    assert share[1] == 0 and 0.65 < share[2] < 0.85
    with pytest.raises(InputError, match="3 classes"):
        metrics.evaluate("kid20", G_ema, Dataset.open(write_set(tmp_path / "plain.zip")), extractor=plain_features)


def test_reals_are_measured_once_for_each_set_count_and_mirror(dataset, plain_features, tmp_path, monkeypatch):
    cache, calls = tmp_path / "cache", []
    forward = ColourMoments.forward
    monkeypatch.setattr(ColourMoments, "forward", lambda self, rgb: calls.append(len(rgb)) or forward(self, rgb))

    def reals(count, **options):
        calls.clear()
        stats = metrics.reference_features(dataset, plain_features, count, cache_dir=cache, **options)
        return stats, sum(calls)

    first, num = reals(30)
    second, cached = reals(30)
    assert (num, cached) == (30, 0) and np.array_equal(first.vectors, second.vectors)
    assert reals(30, keep=False)[1] == 0 and reals(20)[1] == 20 and reals(30, mirror=True)[1] == 30
    assert reals(None)[0].num == 40 and reals(1000)[1] == 0
    assert reals(None, mirror=True)[0].num == 80
    (next(cache.glob("*-30.npz"))).write_bytes(b"damaged")
    assert reals(30)[1] == 30
    assert all(plain_features.key in path.name and path.name.startswith("reals-") for path in cache.iterdir())


def test_a_mirrored_set_is_symmetric(dataset):
    """Left and right quarters swap their means under reflection, so over the doubled set they agree."""
    sides = FeatureExtractor("sides", 2, 16, "0" * 64, nn.Sequential(nn.AdaptiveAvgPool2d((1, 2)), Red()))
    plain = metrics.reference_features(dataset, sides, None).mean
    mirrored = metrics.reference_features(dataset, sides, None, mirror=True).mean
    assert abs(plain[0] - plain[1]) > 0.5 and mirrored[0] == pytest.approx(mirrored[1], abs=1e-3)


class Red(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, 0, 0]


def test_collapse_and_noise_move_the_right_way(dataset, plain_features):
    reals = np.stack([dataset[i][0] for i in range(40)])
    rng = np.random.default_rng(0)
    good, base = plain_features(reals[:20]), plain_features(reals[20:])
    collapsed = plain_features(np.repeat(reals[:2], 10, axis=0))
    noisy = plain_features(np.clip(reals[:20] + rng.normal(0, 120, (20, 16, 16, 3)), 0, 255).astype(np.uint8))
    for bad in (collapsed, noisy):
        assert metrics.kernel_distance(base, bad).value > metrics.kernel_distance(base, good).value
        stats = [metrics.stats_of(x) for x in (base, bad, good)]
        assert metrics.frechet_distance(*stats[:2]) > metrics.frechet_distance(stats[0], stats[2])
    assert metrics.precision_recall(base, collapsed)[1] < metrics.precision_recall(base, good)[1]
    assert metrics.precision_recall(base, noisy)[0] < metrics.precision_recall(base, good)[0]


def test_reals_against_reals_is_the_floor(dataset, plain_features):
    (floor,) = metrics.measure_baseline(["kid1k"], dataset, extractor=plain_features)
    assert floor["real_floor"] and (floor["num_real"], floor["num_fake"]) == (20, 20)
    low, high = floor["ci95"]["kid1k_moments"]
    assert low < 0 < high
    fake = metrics.evaluate("kid20", tiny_generator().eval(), dataset, extractor=plain_features)
    assert fake["results"]["kid20_moments"] > high


def test_a_stop_request_ends_it(dataset, plain_features):
    class Progress(SilentReporter):
        lines = ()

        def progress(self, done, total, message=""):
            self.lines = (*self.lines, (done, total, message))

    reporter, calls = Progress(), iter([False, True])
    with pytest.raises(Stopped):
        metrics.evaluate(
            "kid200", tiny_generator().eval(), dataset, extractor=plain_features, reporter=reporter,
            should_stop=lambda: next(calls),
        )  # fmt: skip
    assert len(reporter.lines) == 1 and reporter.lines[0][1:] == (200, "generated pictures")


def test_features_are_never_mixed_up(dataset, plain_features):
    with pytest.raises(InputError, match="other features"):
        metrics.evaluate("kid20_squeezenet", tiny_generator().eval(), dataset, extractor=plain_features)


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.fixture
def studio(tmp_path, monkeypatch, plain_features) -> Path:
    monkeypatch.setenv(workspace.CACHE_VARIABLE, str(tmp_path / "cache"))
    openers = dict.fromkeys(("embedded", "moments"), lambda device: plain_features)
    monkeypatch.setattr(extractors, "OPENERS", openers)
    monkeypatch.setattr(extractors, "squeezenet_file", lambda: None)
    return write_set(tmp_path / "set.zip")


@pytest.fixture
def own_model(tmp_path, tiny_model) -> Path:
    """A copy: figures are written into a model's card."""
    return shutil.copy(tiny_model, tmp_path / "tiny.safetensors")


def test_the_command_prints_figures_and_keeps_them(studio, plain_features, own_model, tmp_path, capsys):
    argv = ["metrics", "--network", str(own_model), "--data", str(studio), "--metrics", "kid20,pr20"]
    assert main([*argv, "--dry-run"]) == 0
    assert "kid20_moments, pr20_moments" in capsys.readouterr().out
    assert main([*argv, "--real-floor", "--outdir", str(tmp_path / "m")]) == 0
    out = capsys.readouterr().out
    assert out.count("kid20_moments ") == 2 and "real against real" in out and "pr20_moments_recall" in out
    (record,) = [json.loads(line) for line in (tmp_path / "m" / "metric-kid20_moments.jsonl").read_text().splitlines()]
    assert f"{record['results']['kid20_moments']:.5f}" in out and record["snapshot_pkl"] == own_model.name
    (floor,) = [json.loads(line) for line in (tmp_path / "m" / "floor-kid20_moments.jsonl").read_text().splitlines()]
    assert floor["real_floor"] and floor["snapshot_pkl"] is None
    direct = metrics.evaluate("kid20", load_generator(own_model), Dataset.open(studio), extractor=plain_features)
    assert record["results"] == pytest.approx(direct["results"], rel=1e-3)
    assert read_card(own_model).metrics == record["results"] | read_card(own_model).metrics


def test_fid_of_few_pictures_says_that_its_interval_is_not_all(studio, own_model, tmp_path, capsys):
    argv = ["metrics", "--network", str(own_model), "--data", str(studio), "--metrics", "fid20,kid20"]
    words = "warning: 20 real and 20 generated pictures are too few for FID"
    assert main([*argv, "--dry-run"]) == 0
    assert capsys.readouterr().out.count(words) == 1
    assert main([*argv, "--outdir", str(tmp_path / "m")]) == 0
    captured = capsys.readouterr()
    assert (captured.out + captured.err).count(words) == 1
    (line,) = (tmp_path / "m" / "metric-fid20_moments.jsonl").read_text().splitlines()
    assert "interval does not cover that" in json.loads(line)["warning"]
    assert "warning" not in (tmp_path / "m" / "metric-kid20_moments.jsonl").read_text()
    (figure,) = [figure for figure in read_figures(tmp_path / "m") if figure.name.startswith("fid")]
    assert figure.doubt == json.loads(line)["warning"]


@pytest.mark.parametrize(("name", "num_real", "num_fake", "words"), [
    ("fid2k_x", 2000, 2000, ""), ("fid50k_full_x", 12, 50_000, "12 real pictures are"), ("kid1k_x", 12, 1000, ""),
    ("fid500_full_x", 9000, 500, "500 generated pictures are"),
    ("pr1k3_x_recall", 12, 1000, "12 real pictures are too few for precision and recall"), ("pr1k3_x", 900, 1000, ""),
    ("fid5k_x", 0, 0, ""),
])  # fmt: skip
def test_figures_know_how_many_pictures_are_too_few(name, num_real, num_fake, words):
    assert doubt_about(name, num_real, num_fake).startswith(words) and bool(words) == bool(
        doubt_about(name, num_real, num_fake)
    )


@pytest.mark.parametrize(
    "flags",
    [
        ["--metrics", "none"],
        ["--metrics", "wisdom1k"],
        ["--metrics", "kid1k_vgg"],
        ["--features", "vgg"],
        ["--seed", "-1"],
        ["--data", "missing.zip"],
        ["--network", "missing"],
        ["--device", "quantum"],
    ],
    ids=" ".join,
)
def test_bad_input_gets_an_error_and_a_hint(studio, tiny_model, capsys, flags):
    argv = {"--network": str(tiny_model), "--data": str(studio), "--metrics": "kid20"} | dict([flags])
    assert main(["metrics", *(word for pair in argv.items() for word in pair)]) == 2
    err = capsys.readouterr().err
    assert "error: " in err and "hint: " in err and "Traceback" not in err
