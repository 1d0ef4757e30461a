"""Precision and recall on pictures that were labelled by eye, and 40 copies among 500. Needs the two zips of pictures.

They are looked for in ../shared/data beside the repository, or where ATELIER_DATA says.
"""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Collection
from pathlib import Path

import pytest
from planting import planted

from ganlib.dataset.checks.config import ExamineConfig
from ganlib.dataset.checks.examination import Examination
from ganlib.dataset.checks.findings import KINDS
from ganlib.dataset.crops import frame_picture
from ganlib.dataset.examine import examine
from ganlib.dataset.files import Files
from ganlib.media.images import decode

pytestmark = [pytest.mark.parity, pytest.mark.slow]
REPOSITORY = Path(__file__).resolve().parents[3]
LABELS = json.loads((REPOSITORY / "tests" / "data" / "pomological_labels.json").read_text("utf-8"))
BAD = ("twig", "drawing", "mount", "other")
NEITHER = ("branch", "pasted")
UNLIKE = ("grey", "ground", "sparse", "outlier")


def data(name: str) -> Path:
    path = Path(os.environ.get("ATELIER_DATA", REPOSITORY.parent / "shared" / "data")) / name
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return path


def labelled(part: str, names: list[str]) -> dict[str, str]:
    """Name → label of the pictures of a part."""
    numbered = sorted(names, key=lambda name: int(re.findall(r"\d+", name)[-1]))
    chosen = {"random": LABELS["random"].get("names"), "tuned_on": numbered[3::7], "held_out": numbered[6::14]}[part]
    labels = {name: label for label, listed in LABELS[part]["labels"].items() for name in listed}
    assert labels.keys() <= set(chosen)
    return {name: labels.get(name, "ok") for name in chosen}


def told(part: str, labels: dict[str, str], flagged: Collection[str]) -> tuple[float, float, float]:
    """Print and return precision, recall, and the share of good pictures that are lost."""
    shares = {}
    for label in ("ok", *BAD, *NEITHER):
        names = [name for name in labels if labels[name] == label]
        shares[label] = f"{sum(name in flagged for name in names)}/{len(names)}"
    bad = [name for name in labels if labels[name] in BAD]
    good = [name for name in labels if labels[name] == "ok"]
    hits, lost = sum(name in flagged for name in bad), sum(name in flagged for name in good)
    precision, recall = hits / max(hits + lost, 1), hits / len(bad)
    print(f"{part}: precision {precision:.2f}, recall {recall:.2f}, good lost {lost / len(good):.3f}; {shares}")
    return precision, recall, lost / len(good)


@pytest.fixture(scope="module")
def fruit(tmp_path_factory: pytest.TempPathFactory) -> Examination:
    """All that is labelled, examined as one set; ATELIER_EXAMINED names a folder with the whole zip's scores."""
    source = data("pomological.zip")
    if folder := os.environ.get("ATELIER_EXAMINED"):
        return examine(ExamineConfig(str(source), folder, duplicate=None))
    folder = tmp_path_factory.mktemp("fruit")
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(folder / "in.zip", "w") as out:
        names = [name for part in ("random", "tuned_on", "held_out") for name in labelled(part, archive.namelist())]
        for name in dict.fromkeys(names):
            out.writestr(name, archive.read(name))
    return examine(ExamineConfig(str(folder / "in.zip"), str(folder / "out"), duplicate=None))


@pytest.mark.parametrize("part", ["random", "tuned_on", "held_out"])
def test_twigs_drawings_and_mounts_are_mostly_found(fruit, part):
    names = [picture.name for picture in fruit.pictures]
    with zipfile.ZipFile(data("pomological.zip")) as archive:
        labels = labelled(part, archive.namelist())
    assert labels.keys() <= set(names)
    groups = {kind: {name for name, _ in found} for kind, found in fruit.groups().items()}
    for kind in UNLIKE:
        told(f"{part}, {kind}", labels, groups.get(kind, ()))
    flagged = {name for kind in UNLIKE for name in groups.get(kind, ())}
    _, recall, lost = told(f"{part}, any of these", labels, flagged)
    assert recall >= 0.8 and lost <= 0.06
    everything = {name for kind, row in KINDS.items() if row.excludes for name in groups.get(kind, ())}
    told(f"{part}, whole list", labels, everything)


def test_what_the_preparation_sets_aside(fruit):
    with Files(data("pomological.zip")) as files:
        labels = labelled("random", files.names)
        aside = {name for name in labels if frame_picture(decode(files.read(name)), "subject").objection}
    precision, recall, _ = told("random, set aside by prepare", labels, aside)
    assert 0 <= precision <= 1 and recall >= 0.2


def test_frames_are_found_on_scans_and_not_on_paintings(fruit, tmp_path):
    with zipfile.ZipFile(data("pomological.zip")) as archive:
        labels = labelled("random", archive.namelist())
    framed = {name for name, _ in fruit.groups()["border"]}
    recall = sum(name in framed for name in labels) / len(labels)
    source = data("monet_vangogh.zip")
    paintings = examine(ExamineConfig(str(source), str(tmp_path), duplicate=None))
    found = [name for name, _ in paintings.groups().get("border", [])]
    print(f"frames: {recall:.3f} of {len(labels)} scans; of {len(paintings.pictures)} paintings {found}")
    assert recall >= 0.98 and len(found) <= 3


@pytest.mark.parametrize("name", ["pomological.zip", "monet_vangogh.zip"])
def test_40_copies_among_500(tmp_path, name):
    truth = planted(data(name), tmp_path / "in.zip", pictures=500, copies=40)
    result = examine(ExamineConfig(str(tmp_path / "in.zip"), str(tmp_path / "out")))
    pairs = {frozenset((copy, f.partners[0])): f for copy, f in result.groups().get("duplicate", [])}
    wanted = {frozenset((copy, original)): mirrored for copy, (original, mirrored) in truth.items()}
    found = [pair for pair in wanted if pair in pairs]
    other = {tuple(sorted(pair)): finding.score for pair, finding in pairs.items() if pair not in wanted}
    print(f"{name}: {len(found)} of 40 found, other pairs {other}")
    assert len(found) >= 38 and len(other) <= 2
    assert all(pairs[pair].mirrored == wanted[pair] for pair in found)
