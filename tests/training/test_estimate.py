"""The estimate makes real steps, writes one file, and refuses what the run would refuse."""

import json

import pytest

from ganlib.base.errors import InputError
from ganlib.runs import Stopped
from ganlib.training import TrainConfig
from ganlib.training.estimate import measure, run_job
from tests.training.conftest import TINY_OF, Stopper


@pytest.mark.parametrize("arch", sorted(TINY_OF))
def test_an_estimate_scales_with_the_length_of_the_run(arch, data, tmp_path):
    config = {**TINY_OF[arch], "data": str(data), "kimg": 50.0}
    reporter = Stopper()
    run_job(config, tmp_path, reporter)
    found = json.loads((tmp_path / "estimate.json").read_text())
    assert found["hours"] == pytest.approx(found["seconds_per_kimg"] * 50 / 3600)
    assert found["seconds_per_kimg"] > 0 and found["memory_gb"] > 0 and found["num_parameters"] > 0
    assert found["words"] in reporter.lines
    assert sorted(p.name for p in tmp_path.iterdir()) == ["estimate.json"]


def test_an_estimate_can_be_stopped_and_fails_like_the_run(data):
    with pytest.raises(Stopped):
        measure(TrainConfig(data=str(data), **TINY_OF["dcgan"]), Stopper(steps=0))
    with pytest.raises(InputError, match="cbase"):
        measure(TrainConfig(data=str(data), **{**TINY_OF["dcgan"], "cbase": 128}), Stopper())
