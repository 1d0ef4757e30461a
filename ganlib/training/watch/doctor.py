"""The training doctor: what a run's numbers mean, in plain words. Pure functions of records, no files.

Thresholds, and where they come from:
    r_t = E[sign(D(real))] and r_v = (E[D(train)] − E[D(validation)]) / (E[D(train)] − E[D(fake)]) are the two measures
    of overfitting of Karras et al. 2020 (Training GANs with limited data, section 3): r_v = 1 means that D takes unseen
    real pictures for generated ones. Augmentations leak into the pictures when p stays above 0.8 (figure 3 there).
    A healthy StyleGAN2 run on 6,403 fruit watercolours (64 px, 7–46 kimg, no augmentation) kept r_t between 0.35 and
    0.66, and told 67–83 % of real and 82–95 % of generated pictures apart: it must be called healthy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ganlib.metrics.kinds import is_lower_better, preference_key
from ganlib.runs import format_seconds
from ganlib.training.losses import LOSSES
from ganlib.training.watch.folder import mean_of, snapshot_kimg

Severity = Literal["stop", "warning", "note", "good"]
SEVERITIES: tuple[Severity, ...] = ("stop", "warning", "note", "good")
Metrics = Mapping[str, Sequence[Mapping[str, Any]]]

FEWEST_TICKS = 5  # fewer say nothing
RECENT_SHARE = 0.2  # "lately" is this share of the run, at least FEWEST_TICKS ticks
HIGH_SIGNS = 0.8  # r_t; the controller of augmentation aims at 0.6
OVERFIT_SHARE = 0.5  # r_v
LEAKING_P, LIMIT_P = 0.8, 0.99
LOW_DIVERSITY, FALLEN_DIVERSITY = 0.4, 0.5  # of the data's diversity; of the run's best
SATURATED = 0.95  # share of pictures that D tells apart
UNDECIDED = 0.55
LOST = 0.35  # worse than guessing
CERTAIN, GUESSING = 0.02, 0.95  # of the loss of a guess, for losses whose signs say little
ABSURD_LOSS = 1e4  # of a loss whose healthy values are near 1; WGAN's reach hundreds
STALE_SHARE, STALE_COUNT, WORSE = 0.25, 5, 1.2  # of the run; evaluations; times the best value
FEW_PICTURES, ENOUGH_PICTURES = 200, 2000
WAITING_SHARE = 0.25  # of the time between two ticks


@dataclass(frozen=True)
class Finding:
    """One thing that the numbers say."""

    kind: str
    """`diverged`, `collapse`, `overfitting`, `augmentation`, `strong`, `lost`, `weak`, `stale`, `few`, `waiting`,
    `early`, `healthy` or `eta`."""
    severity: Severity
    title: str
    words: str
    """What was seen, with the numbers."""
    advice: str = ""
    """What to do about it; empty where nothing needs doing."""


def examine(
    records: Sequence[Mapping[str, Any]], *, metrics: Metrics | None = None, config: Mapping[str, Any] | None = None
) -> list[Finding]:
    """Return what the ticks of a run say, the most urgent first; never empty.

    `records` are the lines of stats.jsonl in order of kimg; `metrics` the lines of each metric-NAME.jsonl; `config` the
    run's options (`kimg`, `mirror`, `aug`, `loss`, `resume`, and `num_images`, the size of the data set), as far as
    known.
    """
    metrics, config = metrics or {}, config or {}
    findings = [*_diverged(records, metrics), *_few(config)]
    lately = _recent(records)
    if len(records) < FEWEST_TICKS:
        findings.append(_early(len(records)))
    elif not findings or findings[0].kind != "diverged":
        collapse = _collapse(records, lately, config)
        findings += collapse
        findings += _overfitting(lately, config)
        findings += _augmentation(lately, config)
        # D wins easily against pictures that are all alike: that is told by then.
        findings += [] if collapse else _balance(lately, config)
        findings += _stale(records, metrics)
        findings += _waiting(lately)
    if all(finding.severity == "note" and finding.kind not in ("early", "weak") for finding in findings):
        findings.append(_healthy(records, lately, metrics, config))
    findings += _eta(records, config)
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


# --- the findings -----------------------------------------------------------------------------------------------------


def _diverged(records: Sequence[Mapping[str, Any]], metrics: Metrics) -> list[Finding]:
    if not records:
        return []
    last = records[-1]
    names = [name for name in last if name.startswith("Loss/")]
    broken = [name for name in names if not math.isfinite(mean_of(last, name) or 0.0)]
    kept = best_snapshot(metrics)
    source = f"Go back to {kept[0]}" if kept else "Go back to the last snapshot, which is whole"
    advice = f"{source} and continue from it with half the learning rates (glr, dlr) or a larger gamma."
    if broken:
        words = f"{_join(broken)} stopped being a number at {_kimg(last):.1f} kimg."
        return [Finding("diverged", "stop", "The numbers have run away", words, advice)]
    for name, who in (("Loss/G/loss", "generator"), ("Loss/D/loss", "discriminator")):
        values = np.abs(_values(records, name))
        if len(values) < FEWEST_TICKS:
            continue
        recent = float(np.median(values[-FEWEST_TICKS:]))
        if recent > ABSURD_LOSS:
            words = f"The {who}'s loss is {recent:.3g}."
            return [Finding("diverged", "stop", "The losses have run away", words, advice)]
        if len(values) < 2 * FEWEST_TICKS:
            continue
        before = float(np.median(values[:-FEWEST_TICKS]))
        if recent > 20.0 * max(before, 1.0):
            words = f"The {who}'s loss is {recent:.3g}; before, it was {before:.3g}."
            return [Finding("diverged", "stop", "The losses are running away", words, advice)]
    return []


def _collapse(
    records: Sequence[Mapping[str, Any]], lately: Sequence[Mapping[str, Any]], config: Mapping[str, Any]
) -> list[Finding]:
    values = _values(records, "Samples/diversity")
    if len(values) < 3:
        return []
    recent, best = float(np.median(values[-3:])), float(values.max())
    before = float(np.median(values[-6:-3])) if len(values) > 3 else best
    # Noise before the first lesson can be more varied than any data: what it loses is no loss.
    has_fallen = recent < FALLEN_DIVERSITY * min(best, 1.0) and recent <= 1.1 * before
    # Every run begins with pictures that are all alike.
    is_low = recent < LOW_DIVERSITY and recent <= 1.1 * float(np.median(values[: len(values) * 2 // 3]))
    if not has_fallen and not is_low:
        return []
    best_at = _kimg(next(record for record in records if mean_of(record, "Samples/diversity") == best))
    real, fake = _accuracies(lately)
    has_zero = _scores_have_a_zero(config)
    sure = min(real, fake) >= SATURATED if has_zero else _is_certain(lately, config)
    words = f"The samples differ from each other {recent:.0%} as much as real pictures do"
    words += f" (at best {best:.0%}, at {best_at:.0f} kimg)." if best > recent else "."
    if sure and has_zero:
        words += f" The discriminator tells {real:.0%} of the real and {fake:.0%} of the generated pictures apart."
    if config.get("bn_D"):
        advice = (
            "Stop, and begin anew without batch norm in the discriminator (bn_D): with it, D judges a whole batch at "
            "once, and one picture repeated can please it."
        )
    else:
        advice = (
            f"Stop, and continue from a snapshot near {best_at:.0f} kimg. Give the discriminator a lower learning rate "
            f"(dlr){' or a larger gamma' if _has_r1(config) else ''}; a larger batch and more varied pictures help too."
        )
    return [Finding("collapse", "stop" if sure else "warning", "The pictures are becoming all alike", words, advice)]


def _overfitting(lately: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> list[Finding]:
    title = "The discriminator is learning the pictures by heart"
    remedy = "add pictures" if config.get("mirror") else "switch mirror on, add pictures"
    if not _has_augmentation(lately, config):
        remedy = f"switch augmentation on (aug = {'ada' if _scores_have_a_zero(config) else 'diffaug'}), {remedy}"
    remedy += ", or raise gamma" if _has_r1(config) else ""
    advice = f"To help: {remedy}. Later snapshots get worse: keep the best one."
    real, fake = _median(lately, "Loss/scores/real"), _median(lately, "Loss/scores/fake")
    validation = _median(lately, "Loss/scores/validation")
    gap = real - fake
    if math.isfinite(validation) and gap > 0.1:
        share = (real - validation) / gap
        if share > OVERFIT_SHARE:
            words = (
                f"It scores training pictures {real:.2f} and real pictures that it has never seen {validation:.2f}; "
                f"generated ones get {fake:.2f}. Unseen pictures are {min(share, 1):.0%} of the way to generated ones."
            )
            return [Finding("overfitting", "warning", title, words, advice)]
        return []  # the direct evidence says no
    signs = _values(lately, "Loss/signs/real")
    if _scores_have_a_zero(config) and len(signs) >= FEWEST_TICKS and np.quantile(signs, 0.25) > HIGH_SIGNS:
        r_t = float(np.median(signs))
        words = (
            f"r_t has been {r_t:.2f} for {len(signs)} ticks: it takes {(1 + r_t) / 2:.0%} of the training pictures for "
            f"real (D of real pictures {real:.2f}, of generated ones {fake:.2f}). About 0.6 is a fair contest."
        )
        return [Finding("overfitting", "warning", title, words, advice)]
    return []


def _augmentation(lately: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> list[Finding]:
    p = _median(lately, "Progress/augment")
    if not p > LEAKING_P:
        return []
    more = "Add pictures" if config.get("mirror") else "Switch mirror on and add pictures"
    advice = f"{more}. If samples show odd turns or colours, continue from an earlier snapshot with a smaller augpipe."
    if p >= LIMIT_P:
        words = f"Augmentation is at its limit (p = {p:.2f}) and the discriminator still knows the pictures too well."
        return [Finding("augmentation", "warning", "Augmentation can do no more", words, advice)]
    words = f"p is {p:.2f}. Above {LEAKING_P} the augmentations (turns, colours, noise) can appear in the pictures."
    return [Finding("augmentation", "warning", "Augmentations may leak into the pictures", words, advice)]


def _balance(lately: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> list[Finding]:
    loss = LOSSES.get(str(config.get("loss", "")))
    if loss is not None and loss.guess:
        return _balance_by_loss(_median(lately, "Loss/D/loss"), loss.guess)
    real, fake = _accuracies(lately)
    if not _scores_have_a_zero(config) or not math.isfinite(real + fake):
        return []
    words = f"It tells {real:.0%} of the real and {fake:.0%} of the generated pictures apart."
    if min(real, fake) >= SATURATED:
        advice = "Lower its learning rate (dlr) or raise gamma; with few pictures, switch augmentation on."
        title = "The discriminator wins too easily"
        return [Finding("strong", "warning", title, f"{words} The generator learns little from that.", advice)]
    if min(real, fake) <= LOST:
        advice = "Lower the generator's learning rate (glr), or go back to an earlier snapshot."
        if config.get("bn_D"):
            advice += " Without batch norm in the discriminator (bn_D) it is steadier."
        title = "The discriminator has lost its way"
        return [Finding("lost", "warning", title, f"{words} Guessing would tell half of each.", advice)]
    if max(real, fake) <= UNDECIDED:
        advice = "If the samples do not look finished, raise its learning rate (dlr) or lower gamma."
        return [Finding("weak", "note", "The discriminator is guessing", f"{words} Half would be chance.", advice)]
    return []


def _balance_by_loss(value: float, guess: float) -> list[Finding]:
    words = f"The discriminator's loss is {value:.2f}, where {guess:g} is guessing and 0 is certainty."
    if value <= CERTAIN * guess:
        advice = "Lower its learning rate (dlr); with few pictures, see that aug = diffaug is on."
        title = "The discriminator wins too easily"
        return [Finding("strong", "warning", title, f"{words} The generator learns little from that.", advice)]
    if value >= 2 * guess:
        advice = "Lower the generator's learning rate (glr), or go back to an earlier snapshot."
        return [Finding("lost", "warning", "The discriminator has lost its way", words, advice)]
    if value >= GUESSING * guess:
        advice = "If the samples do not look finished, raise its learning rate (dlr)."
        return [Finding("weak", "note", "The discriminator is guessing", words, advice)]
    return []


def _stale(records: Sequence[Mapping[str, Any]], metrics: Metrics) -> list[Finding]:
    name = main_metric(metrics)
    points = metric_points(metrics[name]) if name else []
    if len(points) <= STALE_COUNT:
        return []
    values = [value if is_lower_better(name) else -value for _, _, value in points]
    best = int(np.argmin(values))
    since = len(points) - 1 - best
    kimg, length = points[-1][0] - points[best][0], points[-1][0]
    if since < STALE_COUNT or kimg < STALE_SHARE * length:
        return []
    best_value, now = points[best][2], float(np.median([value for _, _, value in points[-3:]]))
    ratio = now / best_value if is_lower_better(name) else best_value / max(now, 1e-12)
    words = f"{name} was best at {points[best][0]} kimg ({best_value:.4g}); it is {now:.4g} now, {kimg} kimg later."
    advice = f"Use {points[best][1]}. To get further, continue from it with more pictures or another setting."
    title = "It is getting worse" if best_value > 0 and ratio > WORSE else "No improvement for long"
    return [Finding("stale", "warning" if title.startswith("It") else "note", title, words, advice)]


def _few(config: Mapping[str, Any]) -> list[Finding]:
    count = config.get("num_images")
    if not isinstance(count, int) or isinstance(count, bool) or count >= ENOUGH_PICTURES or count < 1:
        return []
    shown = f"{count} pictures, {2 * count} with their mirror images" if config.get("mirror") else f"{count} pictures"
    off = [] if _is_on(config.get("aug")) else ["augmentation"]
    off += [] if config.get("mirror") else ["mirror"]
    remedies = ["find more", *([f"switch {' and '.join(off)} on"] if off else [])]
    remedies += [] if config.get("resume") else ["start from a model that has learned something similar"]
    advice = _join(remedies) + "."
    advice = advice[0].upper() + advice[1:]
    if count < FEW_PICTURES:
        return [Finding("few", "warning", "Very few pictures", f"The data set has {shown}.", advice)]
    if config.get("resume") or _is_on(config.get("aug")):
        return []
    return [Finding("few", "note", "Few pictures", f"The data set has {shown}.", advice)]


def _waiting(lately: Sequence[Mapping[str, Any]]) -> list[Finding]:
    share = _median(lately, "Timing/data_wait_sec") / max(_median(lately, "Timing/sec_per_tick"), 1e-9)
    if not share > WAITING_SHARE:
        return []
    words = f"{share:.0%} of the time goes into waiting for pictures."
    return [Finding("waiting", "note", "The device waits for pictures", words, "Raise workers, or use a faster disk.")]


def _early(ticks: int) -> Finding:
    seen = "Nothing is measured yet." if not ticks else f"{ticks} {'tick' if ticks == 1 else 'ticks'} so far."
    return Finding("early", "note", "Too early to judge", f"{seen} The doctor speaks from {FEWEST_TICKS} ticks on.")


def _healthy(
    records: Sequence[Mapping[str, Any]], lately: Sequence[Mapping[str, Any]], metrics: Metrics,
    config: Mapping[str, Any],
) -> Finding:  # fmt: skip
    real, fake = _accuracies(lately)
    words = []
    loss = LOSSES.get(str(config.get("loss", "")))
    if loss is not None and loss.guess:
        value = _median(lately, "Loss/D/loss")
        words.append(f"The discriminator's loss is {value:.2f}, between {loss.guess:g} (guessing) and 0 (certainty).")
    elif math.isfinite(real + fake):
        words.append(
            f"A fair contest: the discriminator tells {real:.0%} of the real and {fake:.0%} of the generated pictures "
            "apart."
        )
    diversity = _values(records, "Samples/diversity")
    if len(diversity):
        words.append(f"The samples are {np.median(diversity[-3:]):.0%} as varied as the data.")
    if best := best_snapshot(metrics):
        words.append(f"Best so far: {best[0]} ({main_metric(metrics)} {best[1]:.4g}).")
    else:
        words.append("No metric was measured: judge by the samples.")
    return Finding("healthy", "good", "Healthy", " ".join(words))


def _eta(records: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> list[Finding]:
    seconds = seconds_left(records, config)
    if not seconds:
        return []
    pace, kimg = _median(_recent(records), "Timing/sec_per_kimg"), _kimg(records[-1])
    words = f"{kimg:.4g} of {float(config['kimg']):.6g} kimg at {pace:.3g} s each."
    return [Finding("eta", "good", f"{format_seconds(seconds)} to go", words)]


# --- numbers ----------------------------------------------------------------------------------------------------------


def seconds_left(records: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> float | None:
    """Seconds of training until `config["kimg"]` at the pace of the last ticks; None where either is unknown."""
    total = config.get("kimg")
    pace = _median(_recent(records), "Timing/sec_per_kimg")
    if not records or not isinstance(total, int | float) or not math.isfinite(pace):
        return None
    return max(0.0, (total - _kimg(records[-1])) * pace)


def main_metric(metrics: Metrics) -> str:
    """The metric that decides which snapshot is best: a full FID before others, then KID; empty if there is none."""
    return min((name for name in metrics if metric_points(metrics[name])), key=preference_key, default="")


def metric_points(records: Sequence[Mapping[str, Any]]) -> list[tuple[int, str, float]]:
    """(kimg, snapshot's name, value) of each record of one metric, in order of kimg; a later record replaces an older.

    A metric with several results (precision and recall) counts by its first.
    """
    points: dict[int, tuple[int, str, float]] = {}
    for record in records:
        kimg, name = snapshot_kimg(record.get("snapshot_pkl")), str(record.get("snapshot_pkl"))
        results = record.get("results")
        value = next(iter(results.values()), None) if isinstance(results, Mapping) else None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if kimg is not None and is_number and math.isfinite(value):  # type: ignore[arg-type]
            points[kimg] = (kimg, name, float(value))  # type: ignore[arg-type]
    return [points[kimg] for kimg in sorted(points)]


def best_snapshot(metrics: Metrics) -> tuple[str, float] | None:
    """The name of the best snapshot by `main_metric`, and its value; None where nothing was measured."""
    name = main_metric(metrics)
    if not name:
        return None
    points = metric_points(metrics[name])
    best = (min if is_lower_better(name) else max)(points, key=lambda point: point[2])
    return best[1], best[2]


def _recent(records: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    return records[-max(FEWEST_TICKS, math.ceil(RECENT_SHARE * len(records))) :]


def _values(records: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    values = np.array([mean_of(record, name) for record in records], dtype=np.float64)  # None becomes NaN
    return values[np.isfinite(values)]


def _median(records: Sequence[Mapping[str, Any]], name: str) -> float:
    values = _values(records, name)
    return float(np.median(values)) if len(values) else float("nan")


def _accuracies(records: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Shares of real and of generated pictures that D tells apart, from what is logged; NaN where nothing is."""
    real, fake = _median(records, "Loss/accuracy/real"), _median(records, "Loss/accuracy/fake")
    real = real if math.isfinite(real) else (1 + _median(records, "Loss/signs/real")) / 2
    return real, fake if math.isfinite(fake) else (1 - _median(records, "Loss/signs/fake")) / 2


def _scores_have_a_zero(config: Mapping[str, Any]) -> bool:
    """Whether D(x) > 0 means "real": not for a Wasserstein critic or a relativistic loss, where only gaps count."""
    loss = str(config.get("loss", "")).lower()
    if loss in LOSSES:
        return LOSSES[loss].has_zero
    return not any(word in loss for word in ("wgan", "wasserstein", "relativ"))  # other tools' words


def _is_certain(records: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> bool:
    """Whether the loss says that D is sure, where the signs of its verdicts say little."""
    loss = LOSSES.get(str(config.get("loss", "")))
    return loss is not None and loss.guess > 0 and _median(records, "Loss/D/loss") <= CERTAIN * loss.guess


def _has_r1(config: Mapping[str, Any]) -> bool:
    """Whether a run has R1, or a loss that goes with it, so that raising gamma means something."""
    loss = LOSSES.get(str(config.get("loss", "")))
    return bool(config.get("gamma")) or loss is None or loss.defaults.get("gamma") != 0.0


def _has_augmentation(records: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> bool:
    return _is_on(config.get("aug")) or bool(_values(records, "Progress/augment").any())


def _is_on(aug: object) -> bool:
    return isinstance(aug, str) and aug not in ("", "none", "noaug")


def _kimg(record: Mapping[str, Any]) -> float:
    return mean_of(record, "Progress/kimg") or 0.0


def _join(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
