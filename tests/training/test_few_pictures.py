"""What a run of few pictures says of itself, and sets that are really grey."""

import pytest

from ganlib.models import checkpoints
from ganlib.training import train
from ganlib.training.watch.doctor import examine
from ganlib.training.watch.statistics import one, tick_line
from tests.training.conftest import Stopper, pictures, write_set
from tests.training.test_discriminators import config
from tests.training.test_doctor import run

ALIKE = {"Samples__diversity": 0.1, "Loss__accuracy__real": 0.99, "Loss__accuracy__fake": 0.99}


def of_kind(kind, records, **settings):
    return next(finding for finding in examine(records, config=settings) if finding.kind == kind)


def test_a_grey_set_trains_a_grey_model(tmp_path):
    grey = write_set(tmp_path / "grey.zip", pictures(24)[..., 0])
    path = train(config(grey), tmp_path / "run", Stopper())
    assert checkpoints.read_card(path).spec.img_channels == 1
    assert checkpoints.load_discriminator(path).spec.img_channels == 1


def test_the_line_of_a_tick_says_r_t_only_where_verdicts_have_a_zero(data, tmp_path):
    record = {"Loss/signs/real": one(0.9), "Loss/scores/real": one(0.5), "Loss/scores/fake": one(-0.25)}
    assert tick_line(record).endswith("r_t 0.900")
    assert tick_line(record, has_zero=False).endswith("D(real) 0.500 D(fake) -0.250")
    reporter = Stopper()
    train(config(data), tmp_path / "run", reporter)
    (line, *_) = (line for line in reporter.lines if line.startswith("tick "))
    assert "D(real)" in line and "r_t" not in line


def test_signs_do_not_make_a_collapse_certain_where_they_say_little():
    assert of_kind("collapse", run(**ALIKE), loss="logistic").severity == "stop"
    finding = of_kind("collapse", run(**ALIKE), loss="hinge", gamma=0.0)
    assert finding.severity == "warning" and "99%" not in finding.words
    certain = run(**ALIKE | {"Loss__D__loss": 0.01})
    assert of_kind("collapse", certain, loss="hinge", gamma=0.0).severity == "stop"


@pytest.mark.parametrize("settings", [{"loss": "hinge", "gamma": 0.0}, {"loss": "wgan-gp"}])
def test_a_run_without_r1_is_not_told_to_raise_it(settings):
    overfits = run(Loss__scores__validation=-1.0)
    assert "gamma" in of_kind("overfitting", overfits, loss="logistic").advice
    for finding in (of_kind("overfitting", overfits, **settings), of_kind("collapse", run(**ALIKE), **settings)):
        assert "gamma" not in finding.advice
    assert "diffaug" in of_kind("overfitting", overfits, **settings).advice, "ada steers by signs"
