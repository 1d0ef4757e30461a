"""The training doctor: one made-up run for every finding, and runs that must be called healthy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ganlib.training.watch.doctor import (
    Finding,
    best_snapshot,
    examine,
    is_lower_better,
    main_metric,
    metric_points,
    seconds_left,
)

HEALTHY = {
    "Loss/G/loss": 1.9,
    "Loss/D/loss": 0.9,
    "Loss/scores/real": 1.2,
    "Loss/scores/fake": -1.6,
    "Loss/signs/real": 0.55,
    "Loss/signs/fake": -0.83,
    "Samples/diversity": 0.9,
    "Timing/sec_per_kimg": 50.0,
    "Timing/sec_per_tick": 50.0,
    "Timing/data_wait_sec": 0.5,
}


def run(ticks: int = 40, **curves: object) -> list[dict[str, object]]:
    """A healthy run with a little noise; keyword `Loss__G__loss` replaces a curve: a number, a list or None."""
    rng = np.random.default_rng(0)
    values = {**HEALTHY, **{name.replace("__", "/"): value for name, value in curves.items()}}
    records: list[dict[str, object]] = []
    for tick in range(ticks):
        record: dict[str, object] = {"Progress/kimg": {"num": 1, "mean": float(tick + 1), "std": 0.0}}
        for name, value in values.items():
            if value is None:
                continue
            at = value[tick] if isinstance(value, list | np.ndarray) else value * (1 + 0.05 * rng.standard_normal())
            record[name] = {"num": 1, "mean": None if at is None or math.isnan(at) else float(at), "std": 0.0}
        records.append(record)
    return records


def metric(values: list[float], name: str = "fid50k_full") -> dict[str, list[dict[str, object]]]:
    return {
        name: [
            {"results": {name: value}, "metric": name, "snapshot_pkl": f"network-snapshot-{10 * i:06d}.safetensors"}
            for i, value in enumerate(values)
        ]
    }


def kinds(findings: list[Finding]) -> list[str]:
    return [finding.kind for finding in findings if finding.kind != "eta"]


def only(findings: list[Finding], kind: str) -> Finding:
    (found,) = [finding for finding in findings if finding.kind == kind]
    return found


def test_a_fair_contest_is_healthy_and_says_why():
    findings = examine(run(), config={"kimg": 100, "num_images": 6403})
    assert kinds(findings) == ["healthy"]
    words = only(findings, "healthy").words
    assert "78% of the real and 91% of the generated" in words
    assert "94% as varied" in words and "judge by the samples" in words


def test_the_fruit_run_is_healthy_at_every_length():
    """The spread of the bundled model's own run, tick by tick: r_t 0.35–0.66, no augmentation, no diversity."""
    rng = np.random.default_rng(1)
    real, fake = rng.uniform(0.35, 0.66, 80), -rng.uniform(0.65, 0.9, 80)
    records = run(80, Loss__signs__real=real, Loss__signs__fake=fake, Samples__diversity=None)
    for length in (5, 10, 40, 80):
        assert kinds(examine(records[:length])) == ["healthy"], length


@pytest.mark.parametrize("ticks", [0, 1, 4])
def test_few_ticks_are_too_early_to_judge(ticks):
    assert kinds(examine(run(ticks))) == ["early"]


def test_the_time_left_follows_the_pace_of_the_last_ticks():
    pace = [400.0] * 30 + [50.0] * 10
    records = run(Timing__sec_per_kimg=pace)
    assert seconds_left(records, {"kimg": 100}) == 60 * 50
    assert only(examine(records, config={"kimg": 100}), "eta").title == "50 min 0 s to go"
    assert "eta" not in [finding.kind for finding in examine(records, config={"kimg": 40})]
    assert seconds_left([], {"kimg": 100}) is None and seconds_left(records, {}) is None


def test_a_high_r_t_for_long_is_overfitting():
    records = run(Loss__signs__real=[0.5] * 30 + [0.93] * 10)
    finding = only(examine(records), "overfitting")
    assert finding.severity == "warning" and "0.93" in finding.words and "97%" in finding.words
    assert "aug = ada" in finding.advice and "mirror" in finding.advice
    advice = only(examine(records, config={"mirror": True, "aug": "ada"}), "overfitting").advice
    assert "aug = ada" not in advice and "mirror" not in advice
    assert kinds(examine(run(Loss__signs__real=[0.5] * 37 + [0.93] * 3))) == ["healthy"], "not for long"


def test_held_out_pictures_that_score_like_fakes_are_overfitting():
    finding = only(examine(run(Loss__scores__validation=-1.0)), "overfitting")
    assert "79%" in finding.words and "-1.0" in finding.words
    assert kinds(examine(run(Loss__scores__validation=1.0))) == ["healthy"]
    high = run(Loss__signs__real=[0.93] * 40, Loss__scores__validation=1.1)
    assert kinds(examine(high)) == ["healthy"], "held-out pictures are the better evidence"


def test_falling_diversity_is_collapse():
    falling = [0.9] * 20 + list(np.linspace(0.9, 0.42, 20))
    finding = only(examine(run(Samples__diversity=falling)), "collapse")
    assert finding.severity == "warning" and "45%" in finding.words and "90%" in finding.words


def test_low_diversity_that_grows_is_a_beginning_and_no_collapse():
    assert kinds(examine(run(Samples__diversity=list(np.linspace(0.05, 0.35, 40))))) == ["healthy"]
    assert kinds(examine(run(Samples__diversity=[0.3] * 40))) == ["collapse"]
    assert kinds(examine(run(5, Samples__diversity=[0.9, 0.9, 0.9, 0.9, 0.3]))) == ["healthy"], "one odd sheet"
    from_noise = [1.6, 1.3, 1.1, 0.9, 0.8] + [0.75] * 35
    assert kinds(examine(run(Samples__diversity=from_noise))) == ["healthy"], "noise is varied too"
    three = run(2, Samples__diversity=None) + run(5, Samples__diversity=[0.9, 0.9, 0.2, 0.2, 0.2])[2:]
    assert kinds(examine(three)) == ["collapse"], "three sheets are enough"


def test_a_dcgan_with_batch_norm_in_d_collapses():
    """Batch norm in D: its accuracy saturates and within a few epochs all pictures are alike."""
    diversity: list[float | None] = [None] * 40
    diversity[3::4] = [0.3, 0.6, 0.75, 0.7, 0.5, 0.3, 0.15, 0.08, 0.05, 0.04]
    records = run(
        Samples__diversity=[math.nan if value is None else value for value in diversity],
        Loss__accuracy__real=list(np.linspace(0.8, 1.0, 20)) + [1.0] * 20,
        Loss__accuracy__fake=list(np.linspace(0.8, 1.0, 20)) + [1.0] * 20,
        Loss__signs__real=None,
        Loss__signs__fake=None,
        Loss__G__loss=list(np.linspace(2, 9, 40)),
        Loss__D__loss=list(np.linspace(0.7, 0.001, 40)),
    )
    for record in records:  # diversity is measured with the sheets of samples, not at every tick
        if record["Samples/diversity"]["mean"] is None:  # type: ignore[index]
            del record["Samples/diversity"]
    findings = examine(records, config={"bn_D": True})
    assert kinds(findings) == ["collapse"]
    assert findings[0].severity == "stop" and "bn_D" in findings[0].advice and "100%" in findings[0].words
    assert "near 12 kimg" in examine(records)[0].advice and "bn_D" not in examine(records)[0].advice
    assert "collapse" not in kinds(examine(records[:16])), "nothing is wrong yet"


@pytest.mark.parametrize("name", ["Loss/G/loss", "Loss/D/loss", "Loss/r1_penalty"])
def test_a_loss_that_is_no_number_means_stop(name):
    records = run(12)
    records[-1][name] = {"num": 1, "mean": None, "std": None}
    findings = examine(records, metrics=metric([9, 5, 7]))
    assert findings[0].kind == "diverged" and findings[0].severity == "stop"
    assert name in findings[0].words and "network-snapshot-000010.safetensors" in findings[0].advice
    assert examine(records[-1:])[0].kind == "diverged", "even in the first tick"


def test_a_loss_that_grows_without_bound_means_stop():
    finding = examine(run(Loss__G__loss=[2.0] * 34 + [90, 120, 150, 200, 400, 900]))[0]
    assert finding.kind == "diverged" and "200" in finding.words
    assert kinds(examine(run(Loss__G__loss=list(np.linspace(1, 6, 40))))) == ["healthy"]


@pytest.mark.parametrize(("p", "words"), [(0.9, "0.9"), (1.0, "limit")])
def test_strong_augmentation_may_leak(p, words):
    finding = only(examine(run(Progress__augment=[p] * 40)), "augmentation")
    assert words in finding.words and finding.severity == "warning" and "mirror" in finding.advice
    assert kinds(examine(run(Progress__augment=[0.5] * 40))) == ["healthy"]


def test_a_discriminator_that_always_wins_or_guesses_is_told():
    strong = examine(run(Loss__accuracy__real=[0.99] * 40, Loss__accuracy__fake=[1.0] * 40))
    assert kinds(strong) == ["strong"] and "99%" in strong[0].words
    weak = examine(run(Loss__accuracy__real=[0.52] * 40, Loss__accuracy__fake=[0.49] * 40))
    assert kinds(weak) == ["weak"]
    lost = examine(run(Loss__accuracy__real=[0.1] * 40, Loss__accuracy__fake=[0.7] * 40), config={"bn_D": True})
    assert kinds(lost) == ["lost"] and "10%" in lost[0].words and "bn_D" in lost[0].advice


@pytest.mark.parametrize("loss", ["wgan-gp", "r3gan", "relativistic"])
def test_scores_without_a_zero_are_not_read_as_right_and_wrong(loss):
    records = run(Loss__signs__real=[1.0] * 40, Loss__signs__fake=[-1.0] * 40)
    assert kinds(examine(records, config={"loss": loss})) == ["healthy"]
    assert kinds(examine(records)) == ["overfitting", "strong"]


def test_a_metric_that_stands_still_or_gets_worse_is_told_with_the_best_snapshot():
    still = only(examine(run(), metrics=metric([90, 40, 30, 30.5, 31, 30.2, 30.9, 30.4])), "stale")
    assert still.severity == "note" and "network-snapshot-000020.safetensors" in still.advice
    worse = only(examine(run(), metrics=metric([90, 40, 30, 33, 36, 40, 45, 50])), "stale")
    assert worse.severity == "warning" and "30" in worse.words and "45" in worse.words
    assert kinds(examine(run(), metrics=metric([90, 70, 50, 45, 40, 38, 37, 36]))) == ["healthy"]


def test_the_best_snapshot_is_the_lowest_fid_or_the_highest_precision():
    assert best_snapshot(metric([9, 5, 7])) == ("network-snapshot-000010.safetensors", 5)
    assert best_snapshot(metric([0.1, 0.6, 0.3], "pr50k3_full")) == ("network-snapshot-000010.safetensors", 0.6)
    assert best_snapshot({}) is None and best_snapshot({"fid50k_full": []}) is None
    both = {**metric([0.3, 0.2, 0.1], "kid50k_full"), **metric([5, 6, 7])}
    assert main_metric(both) == "fid50k_full" and best_snapshot(both) == ("network-snapshot-000000.safetensors", 5)
    assert is_lower_better("ppl2_wend") and not is_lower_better("is50k")


def test_odd_metric_records_are_left_out():
    records = [
        {"results": {"fid50k_full": 4.0}, "snapshot_pkl": "network-snapshot-000020.pkl"},
        {"results": {"fid50k_full": None}, "snapshot_pkl": "network-snapshot-000030.pkl"},
        {"results": {}, "snapshot_pkl": "network-snapshot-000040.pkl"},
        {"results": {"fid50k_full": 1.0}, "snapshot_pkl": None},
        {"results": {"fid50k_full": 3.0}, "snapshot_pkl": "network-snapshot-000020.pkl"},
    ]
    assert metric_points(records) == [(20, "network-snapshot-000020.pkl", 3.0)]


@pytest.mark.parametrize(
    ("config", "severity"),
    [
        ({"num_images": 60, "aug": "ada", "resume": "fruit"}, "warning"),
        ({"num_images": 800}, "note"),
        ({"num_images": 800, "aug": "ada"}, None),
        ({"num_images": 5000}, None),
    ],
)
def test_few_pictures_are_told(config, severity):
    few = [finding.severity for finding in examine(run(), config=config) if finding.kind == "few"]
    assert few == ([severity] if severity else [])


def test_waiting_for_pictures_is_told():
    finding = only(examine(run(Timing__data_wait_sec=20.0)), "waiting")
    assert "40%" in finding.words and "workers" in finding.advice


def test_the_most_urgent_comes_first():
    records = run(Progress__augment=[1.0] * 40, Timing__data_wait_sec=20.0)
    records[-1]["Loss/G/loss"] = {"num": 1, "mean": None, "std": None}
    severities = [finding.severity for finding in examine(records, config={"num_images": 60, "kimg": 100})]
    assert severities == ["stop", "warning", "good"]


def test_numbers_that_are_missing_or_odd_do_no_harm():
    assert kinds(examine([{"Progress/kimg": {"mean": float(i)}} for i in range(10)])) == ["healthy"]
    assert kinds(examine([{"Progress/kimg": 3, "Loss/G/loss": "x", "Timing/sec_per_kimg": True}] * 10)) == ["healthy"]
