"""Measurements as jobs: they go on where they were killed, are shared by processes, and know how sure they are."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ganlib import metrics, runs
from ganlib.__main__ import main
from ganlib.base import workspace
from ganlib.base.errors import GanlibError, HubError, InputError, RunError
from ganlib.commands.run import do_job
from ganlib.dataset import Dataset
from ganlib.features import extractors, inception
from ganlib.features.extractors import FeatureExtractor
from ganlib.features.perceptual import BACKBONES, PixelDistance
from ganlib.metrics import MetricsConfig, collect_rows, measure, ppl
from ganlib.metrics.job import count_pictures, estimate_seconds, plan_measurement
from ganlib.metrics.measurement import GeneratedPictures
from ganlib.models.checkpoints import load_generator, read_card, save_snapshot
from ganlib.networks import tiny_generator
from ganlib.runs import SilentReporter, Stopped
from tests.metrics.test_metrics import ColourMoments, gaussian, write_set

NAMES = "kid150,fid100_full,pr80"


@pytest.fixture
def own_features(tmp_path, monkeypatch) -> FeatureExtractor:
    """Features whose meaning is plain, in the place of the embedded ones."""
    extractor = FeatureExtractor("moments", 24, 16, "ab" * 32, ColourMoments())
    monkeypatch.setenv(workspace.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(extractors, "OPENERS", dict.fromkeys(("embedded", "moments"), lambda device: extractor))
    monkeypatch.setattr(extractors, "squeezenet_file", lambda: None)
    return extractor


@pytest.fixture
def run_folder(tmp_path) -> Path:
    """A run's directory with three snapshots."""
    folder = tmp_path / "run"
    folder.mkdir()
    for kimg in (2, 10, 1):
        path = folder / f"network-snapshot-{kimg:06d}.safetensors"
        save_snapshot(path, G_ema=tiny_generator(seed=kimg), kimg=kimg, title=f"at {kimg}")
    return folder


@pytest.fixture
def config(tmp_path, run_folder, own_features) -> MetricsConfig:
    data = write_set(tmp_path / "set.zip")
    return MetricsConfig(network=(run_folder,), data=data, metrics=NAMES, outdir=tmp_path / "m", device="cpu")


def results(records) -> list[dict[str, float]]:
    return [record["results"] for record in records]


# --- rows -------------------------------------------------------------------------------------------------------------


class Maker:
    """Row i is (i, i²); knows which were asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def __call__(self, start: int, stop: int) -> np.ndarray:
        self.asked.append((start, stop))
        numbers = np.arange(start, stop, dtype=np.float32)
        return np.stack([numbers, numbers**2], axis=1)


def test_rows_come_in_order_and_are_made_once(tmp_path):
    make = Maker()
    rows = collect_rows(make, 150, 2, name="a", folder=tmp_path)
    assert np.array_equal(rows, Maker()(0, 150)) and make.asked == [(0, 64), (64, 128), (128, 150)]
    again = Maker()
    assert np.array_equal(collect_rows(again, 150, 2, name="a", folder=tmp_path), rows) and again.asked == []
    assert len(collect_rows(again, 70, 2, name="a", folder=tmp_path)) == 70 and again.asked == []
    more = collect_rows(again, 200, 2, name="a", folder=tmp_path)
    assert np.array_equal(more, Maker()(0, 200)) and again.asked == [(128, 192), (192, 200)]


@pytest.mark.parametrize("torn", [0, 3, 64 * 8 - 1, 64 * 8, 64 * 8 + 5, 150 * 8 + 11])
def test_a_torn_file_is_continued(tmp_path, torn):
    whole = collect_rows(Maker(), 150, 2, name="a", folder=tmp_path)
    (path,) = tmp_path.glob("a*.rows")
    data = np.asarray(whole).tobytes() + b"torn by a power cut"
    path.write_bytes(data[:torn])
    assert np.array_equal(collect_rows(Maker(), 150, 2, name="a", folder=tmp_path), Maker()(0, 150))


def test_a_stop_leaves_whole_blocks(tmp_path):
    make, answers = Maker(), iter([False, True])
    with pytest.raises(Stopped):
        collect_rows(make, 150, 2, name="a", folder=tmp_path, should_stop=lambda: next(answers))
    collect_rows(make, 150, 2, name="a", folder=tmp_path)
    assert make.asked == [(0, 64), (64, 128), (128, 150)]


def test_without_a_folder_rows_leave_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert np.array_equal(collect_rows(Maker(), 100, 2), Maker()(0, 100)) and list(tmp_path.iterdir()) == []


# --- how sure a figure is ---------------------------------------------------------------------------------------------


def test_the_jackknife_knows_how_a_frechet_distance_scatters():
    """Its standard error is about the deviation over many sets of generated vectors."""
    real = metrics.stats_of(gaussian(4000, 6, 999))
    found, errors = [], []
    for seed in range(60):
        groups = [metrics.stats_of(x) for x in np.array_split(gaussian(400, 6, seed, shift=0.2, scale=1.1), 10)]
        found.append(metrics.frechet_distance(real, metrics.join_moments(groups)))
        errors.append(metrics.frechet_error(real, groups))
    assert 0.75 < np.mean(errors) / np.std(found) < 1.35


def test_figures_come_with_their_interval(config):
    for record in measure(replace(config, metrics="kid150,fid150,pr80,ppl2_wend80_pixels")):
        for name, (low, high) in record["ci95"].items():
            assert low <= record["results"][name] <= high and high > low


def test_a_share_of_none_is_not_known_to_be_none():
    low, high = metrics.share_interval(0.0, 10)
    assert low == 0 and high == pytest.approx(0.2775, abs=1e-4)
    assert metrics.share_interval(0.5, 1000) == pytest.approx((0.469, 0.531), abs=1e-3)


# --- scores of generated pictures alone -------------------------------------------------------------------------------


def test_the_inception_score_counts_the_kinds_that_are_told_apart():
    kinds = np.eye(5, 8, dtype=np.float32)[np.arange(200) % 5]
    assert metrics.inception_score(kinds, 50 * np.eye(8, dtype=np.float32))[0] == pytest.approx(5, rel=1e-3)
    assert metrics.inception_score(kinds[:1].repeat(200, axis=0), 50 * np.eye(8))[0] == pytest.approx(1)
    assert metrics.inception_score(kinds, np.zeros((8, 8)))[0] == pytest.approx(1)
    with pytest.raises(InputError, match="says nothing"):
        metrics.inception_score(kinds[:19], np.eye(8))


def test_the_inception_score_leads_to_inception(config):
    with pytest.raises(InputError, match="no features named 'inception'"):
        measure(replace(config, metrics="is50"))
    with pytest.raises(InputError, match="needs the classes") as caught:
        measure(replace(config, metrics="is50_moments"))
    assert "--fetch" in caught.value.hint


def test_an_inception_score_is_written_as_mean_and_deviation(config, own_features, monkeypatch):
    knowing = replace(own_features, name="inception", classifier=np.random.default_rng(0).normal(size=(7, 24)))
    monkeypatch.setattr(extractors, "OPENERS", {"inception": lambda device: knowing})
    (record, *_) = measure(replace(config, metrics="is100"))
    assert set(record["results"]) == {"is100_inception_mean", "is100_inception_std"} and record["num_real"] == 0
    assert 1 < record["results"]["is100_inception_mean"] < 7


def test_path_length_leaves_the_extremes_out():
    steps = np.arange(1000, dtype=np.float32)
    value, (low, high) = metrics.path_length(np.concatenate([steps, [1e9]]))
    assert value == pytest.approx(500, abs=1) and low < value < high < 600
    assert high - low == pytest.approx(2 * 1.96 * 283 / np.sqrt(1000), rel=0.3)


def test_steps_have_a_number_and_grow_with_the_contrast():
    """Twice the contrast, four times the path; and a path does not depend on what is measured beside it."""

    class Plain(PixelDistance):
        def embed(self, images, *, coarse=False):
            return images.flatten(1)

    class Doubled(Plain):
        def embed(self, images, *, coarse=False):
            return 2 * super().embed(images)

    G_ema = tiny_generator().eval()
    plain = metrics.PathSteps(G_ema, Plain(), labels=None, seed=4)
    many, one = plain(0, 6), plain(4, 5)
    np.testing.assert_allclose(many[4:5], one, rtol=0.02)  # 0.1 %: a step of 1e-4 in float32
    doubled = metrics.PathSteps(G_ema, Doubled(), labels=None, seed=4)(0, 6)
    np.testing.assert_allclose(doubled, 4 * many, rtol=1e-5)
    assert (many > 0).all() and many.std() > 0.1 * many.mean()


def test_paths_are_measured_in_lpips_where_its_weights_are(tmp_path, monkeypatch):
    """Both of its files; with one alone, or none, in the embedded distance, which the name says."""
    monkeypatch.setenv(workspace.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(ppl, "open_distance", lambda name, device: name)
    assert ppl.open_path_distance()[0] == "fruit-d" and ppl.open_path_distance("fruit-d")[2] == "embedded"
    row = BACKBONES["lpips-vgg"]
    (tmp_path / row.file).touch()
    assert ppl.open_path_distance()[0] == "fruit-d"
    (tmp_path / row.lin_file).touch()
    assert ppl.open_path_distance() == ("lpips-vgg", "397923af", "lpips-vgg")


# --- jobs -------------------------------------------------------------------------------------------------------------


def test_a_run_is_measured_in_order_and_only_once(config, run_folder, monkeypatch):
    records = measure(config)
    assert [r["kimg"] for r in records] == [1, 1, 1, 2, 2, 2, 10, 10, 10]
    assert {r["snapshot_pkl"] for r in records} == {path.name for path in run_folder.iterdir()}
    monkeypatch.setattr(GeneratedPictures, "__call__", lambda *arguments: pytest.fail("made again"))
    assert results(measure(config)) == results(records)
    lines = (config.outdir / "metric-kid150_moments.jsonl").read_text().splitlines()
    assert len(lines) == 3 and not list(config.outdir.glob(".rows"))
    for facts in ("results", "metric", "total_time", "total_time_str", "num_gpus", "snapshot_pkl", "timestamp"):
        assert facts in json.loads(lines[0])


def test_what_was_stopped_goes_on_to_the_same_figures(config, tmp_path, monkeypatch):
    whole = results(measure(replace(config, outdir=tmp_path / "whole", card=False)))

    class Impatient(SilentReporter):
        answers = 0

        def should_stop(self) -> bool:
            self.answers += 1
            return self.answers > 5

    with pytest.raises(Stopped):
        measure(config, Impatient())
    made = []
    make = GeneratedPictures.__call__
    monkeypatch.setattr(GeneratedPictures, "__call__", lambda self, a, b: made.append(b - a) or make(self, a, b))
    for again, before in zip(results(measure(config)), whole, strict=True):
        assert again == pytest.approx(before, rel=1e-6)
    assert 0 < sum(made) < 3 * 150


def test_another_seed_another_set_and_another_model_are_measured_anew(config, tmp_path, run_folder):
    first = measure(config)
    other = measure(replace(config, seed=1))
    assert all(a["results"] != b["results"] for a, b in zip(first, other, strict=True))
    there = tmp_path / "other.zip"
    write_set(there, seed=5)
    assert results(measure(replace(config, data=there))) != results(first)
    path = run_folder / "network-snapshot-000001.safetensors"
    save_snapshot(path, G_ema=tiny_generator(seed=77), kimg=1)
    assert results(measure(config))[0] != first[0]["results"]


def test_the_order_of_the_pictures_makes_no_difference(config, tmp_path):
    """Names are dealt anew; half of the set is taken by what is in the pictures."""
    shuffled = tmp_path / "shuffled"
    shutil.unpack_archive(config.data, shuffled)
    (shuffled / "dataset.json").unlink()
    paths = sorted((shuffled / "00000").iterdir())
    order = np.random.default_rng(3).permutation(len(paths))
    for path, number in zip(paths, order, strict=True):
        path.rename(path.with_name(f"x{number:04d}.png"))
    names = "kid20,fid20,pr20,kid20_full,fid20_full"
    plain, other = (
        results(measure(replace(config, data=data, outdir=None, metrics=names))) for data in (config.data, shuffled)
    )
    assert Dataset.open(shuffled).digest != Dataset.open(config.data).digest
    for a, b in zip(plain, other, strict=True):
        assert a == pytest.approx(b, rel=1e-9)


def test_figures_are_in_the_card_and_the_digest_stays(config, run_folder):
    before = {path: read_card(path).digest for path in run_folder.iterdir()}
    records = measure(config)
    for path, digest in before.items():
        card = read_card(path)
        own = [r["results"] for r in records if r["snapshot_pkl"] == path.name]
        assert card.digest == digest and card.metrics == own[0] | own[1] | own[2]
        load_generator(path)


@pytest.mark.parametrize("name", ["network-snapshot-000001", "fruit-dcgan"])
def test_the_bundled_models_are_left_as_they_are(config, run_folder, monkeypatch, name):
    path = run_folder / "network-snapshot-000001.safetensors"
    monkeypatch.setattr(extractors, "bundled_model", lambda: path)
    if name != path.stem:
        path = path.with_name(f"{name}.safetensors")
        path.write_bytes((run_folder / "network-snapshot-000001.safetensors").read_bytes())
        config = replace(config, network=(path,))
    before = path.read_bytes()
    measure(replace(config, metrics="kid20"))
    assert path.read_bytes() == before


def test_two_may_not_measure_into_one_folder(config):
    config.outdir.mkdir()
    with runs.files.lock(config.outdir / ".measuring"), pytest.raises(RunError, match="being measured"):
        measure(config)


def test_progress_counts_every_picture_once(config):
    class Progress(SilentReporter):
        lines = ()

        def progress(self, done, total, message=""):
            self.lines = (*self.lines, (done, total))

    config = replace(config, real_floor=True, metrics="kid150,fid100,ppl2_wend70_pixels")
    assert count_pictures(plan_measurement(config)) == (450, 210, 40 + 40)
    reporter = Progress()
    measure(config, reporter)
    done, totals = zip(*reporter.lines, strict=True)
    assert list(done) == sorted(done) and done[-1] == totals[-1] == 740 and set(totals) == {740}
    assert count_pictures(plan_measurement(config)) == (0, 0, 0)


def test_an_estimate_grows_with_the_work(config):
    seconds = [estimate_seconds(replace(config, metrics=f"kid{num}")) for num in ("100", "900k")]
    assert 0 < seconds[0] < seconds[1]


def test_a_job_writes_into_its_own_directory(config, tmp_path):
    run = runs.create_run(tmp_path / "runs", "metrics", "tiny", replace(config, outdir=None, metrics="kid20").to_dict())
    assert do_job(run) == 0 and run.state == "done"
    assert [path.name for path in run.artefacts] == ["metric-kid20_moments.jsonl"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": []}, "no model"),
        ({"metrics": "none"}, "no metric"),
        ({"seed": -1}, "seed = -1"),
        ({"network": ["empty"]}, "no snapshots"),
        ({"data": "missing.zip"}, "missing.zip"),
        ({"features": "vgg"}, "no features named"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_cannot_be_is_told_before_anything_is_written(config, tmp_path, monkeypatch, changes, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(GanlibError, match=words) as caught:
        measure(MetricsConfig.from_dict(config.to_dict() | changes))
    assert caught.value.hint and not list(tmp_path.glob("m/metric*"))


def test_offline_a_wish_for_inception_is_answered_in_words(config, run_folder, monkeypatch, capsys):
    def offline(path, *, reporter=None):
        raise HubError("no network", f"or fetch {inception.ADDRESS} elsewhere")

    monkeypatch.setattr(inception, "fetch_weights", offline)
    argv = ["metrics", "--network", str(run_folder), "--data", str(config.data), "--metrics", "is50k", "--fetch"]
    assert main(argv) == 2
    assert inception.ADDRESS in capsys.readouterr().err


def test_a_model_with_classes_needs_a_set_with_classes(config, tmp_path):
    path = tmp_path / "labelled.safetensors"
    save_snapshot(path, G_ema=tiny_generator(label_dim=3))
    with pytest.raises(InputError, match="3 classes"):
        measure(replace(config, network=(path,)))
    few = write_set(tmp_path / "few.zip", labels=[0, 1])
    assert len(measure(replace(config, network=(path,), data=few, metrics="kid20,ppl2_wend20_pixels"))) == 2


def test_a_set_like_itself_is_at_distance_zero(own_features, tmp_path):
    dataset = Dataset.open(write_set(tmp_path / "set.zip", num=60))
    real = metrics.reference_features(dataset, own_features)
    assert metrics.frechet_distance(real, metrics.stats_of(real.vectors[::-1].copy())) < 1e-6
    assert metrics.precision_recall(real.vectors, real.vectors.copy()) == (1.0, 1.0)


# --- many processes ---------------------------------------------------------------------------------------------------


def test_two_processes_share_the_pictures_and_find_the_figures_of_one(tmp_path, tiny_model):
    data, model = write_set(tmp_path / "set.zip"), shutil.copy(tiny_model, tmp_path / "tiny.safetensors")
    names, cache = "kid70_fruit-d,pr66_full_fruit-d,ppl2_wend66_pixels", tmp_path / "cache"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"OMP_NUM_THREADS": "1", workspace.CACHE_VARIABLE: str(cache / "together")}
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={port}",
        "-m", "ganlib", "metrics", "--network", str(model), "--data", str(data), "--metrics", names,
        "--outdir", str(tmp_path / "together"), "--device", "cpu",
    ]  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    config = MetricsConfig(network=(model,), data=data, metrics=names, device="cpu", card=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(workspace.CACHE_VARIABLE, str(cache / "alone"))
        alone = measure(config)
    for record in alone:
        (line,) = (tmp_path / "together" / f"metric-{record['metric']}.jsonl").read_text().splitlines()
        together = json.loads(line)
        assert together["num_gpus"] == 2 and together["num_fake"] == record["num_fake"]
        assert together["results"] == pytest.approx(record["results"], rel=1e-3)
    assert len(list((cache / "together" / "reals").glob("*.npz"))) == 1


class Nothing(nn.Module):
    """A network that must not be asked."""

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        raise AssertionError("the reals were measured again")


def test_statistics_of_reals_are_shared_by_all_measurements(config, own_features, tmp_path, monkeypatch):
    measure(replace(config, metrics="kid20"))
    assert [path.suffix for path in (tmp_path / "cache" / "reals").iterdir()] == [".npz"]
    dataset = Dataset.open(config.data)
    blind = replace(own_features, network=Nothing())
    assert metrics.reference_features(dataset, blind, 20, cache_dir=tmp_path / "cache" / "reals").num == 20
