"""Every family learns: on real pictures at 32 px, its distance to them falls far below that of its untrained self.

Takes about ten minutes on two cores. The set is cut from `pomological.zip` in the folder that `ATELIER_DATA` names."""

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from ganlib import metrics
from ganlib.dataset import Dataset, PrepareConfig, prepare
from ganlib.runs import SilentReporter
from ganlib.training import train
from ganlib.training.presets import with_preset
from ganlib.training.setup import plan
from ganlib.training.state import Networks

METRIC = "kid500_fruit-d"
NUM_PICTURES = 800
SMALL = {"cbase": 1024, "cmax": 64}
RUNS = {
    "dcgan": ("dcgan-bn-g", {"ngf": 24, "ndf": 24, "kimg": 24.0}),
    "progan": ("progan", {**SMALL, "z_dim": 128, "kimg": 12.0}),
    "stylegan2": ("quick", {**SMALL, "batch": 16, "kimg": 6.0}),
}


@pytest.fixture(scope="module")
def fruit(tmp_path_factory):
    folder = Path(os.environ.get("ATELIER_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    source = folder / "pomological.zip"
    if not source.exists():
        pytest.skip(f"no {source}; ATELIER_DATA names another folder")
    out = tmp_path_factory.mktemp("fruit")
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(out / "some.zip", "w") as some:
        names = sorted(n for n in archive.namelist() if n.lower().endswith((".jpg", ".jpeg", ".png")))
        # The names are in order of species: a random choice, not the first ones.
        for i in np.sort(np.random.default_rng(0).permutation(len(names))[:NUM_PICTURES]):
            some.writestr(names[i], archive.read(names[i]))
    prepare(PrepareConfig(str(out / "some.zip"), str(out / "fruit-32.zip"), resolution=32), reporter=SilentReporter())
    return out / "fruit-32.zip"


@pytest.mark.slow
@pytest.mark.parametrize("arch", sorted(RUNS))
def test_every_family_learns_fruit(arch, fruit, tmp_path):
    preset, changes = RUNS[arch]
    given = {"data": str(fruit), "mirror": True, "snap": 100.0, "metrics": METRIC, **changes}
    config = with_preset(preset, given)
    planned = plan(config)
    assert planned.spec.arch == arch
    nets = Networks(planned.spec, planned.config, torch.device("cpu"))
    before = metrics.evaluate(METRIC, nets.G_ema, Dataset.open(fruit))["results"][METRIC]
    train(config, tmp_path / "run", SilentReporter())
    (line,) = (tmp_path / "run" / f"metric-{METRIC}.jsonl").read_text().splitlines()
    after = json.loads(line)["results"][METRIC]
    print(f"{arch}: {METRIC} {before:.3f} untrained, {after:.3f} after {changes['kimg']:g} kimg")
    assert after < 0.5 * before
