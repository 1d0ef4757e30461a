"""Discriminators are chosen independently of the generator's family; the projected one trains, stops and resumes."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from ganlib import networks
from ganlib.base.errors import CheckpointError, InputError
from ganlib.models import checkpoints
from ganlib.networks.base import Architecture, Discriminator, DiscriminatorKind, Generator, GeneratorSpec
from ganlib.training import TrainConfig, steps, train
from ganlib.training.setup import plan
from ganlib.training.state import STATE_NAME
from tests.training.conftest import TINY_OF, Stopper, pictures, write_set
from tests.training.test_families import equal, free_port, weights
from tests.training.test_stopping import Caller

FEW = {
    "energy_weight": 1.0,
    "discriminator": "projected",
    "d_width": 4,
    "feature_side": 64,
    "aug": "diffaug",
    "kimg": 0.032,
}


def config(data, arch="stylegan2", **changes):
    return TrainConfig(data=str(data), **{**TINY_OF[arch], **FEW, **changes})


@pytest.mark.parametrize("arch", ["stylegan2", "dcgan", "fastgan"])
@pytest.mark.parametrize("cond", [False, True])
def test_it_trains_beside_any_family_and_resumes_exactly(arch, cond, data, tmp_path):
    reporter = Stopper()
    whole = train(config(data, arch, cond=cond), tmp_path / "whole", reporter)
    card = checkpoints.read_card(whole)
    assert (card.spec.arch, card.discriminator.kind, card.spec.label_dim) == (arch, "projected", 3 * cond)
    assert reporter.records[0]["Loss/scores/real"]["num"] == 4 * 16, "four judges of each picture"
    train(config(data, arch, cond=cond), tmp_path / "parts", Stopper(steps=3))
    again = train(config(data, arch, cond=cond), tmp_path / "parts", Stopper())
    assert equal(weights(whole), weights(again))


def test_stopped_within_a_step_it_resumes_as_if_it_had_not_been(data, tmp_path, monkeypatch):
    """Spectral normalisation turns its vectors in every pass, batch normalisation its means: both are put back."""
    monkeypatch.setattr(steps, "LOOK_SECONDS", -1.0)
    whole = weights(train(config(data), tmp_path / "whole", counter := Caller()))
    left = []
    for number, share in enumerate((0.1, 0.3, 0.5, 0.7, 0.9)):
        run = tmp_path / str(number)
        train(config(data), run, Caller(int(counter.looks * share)))
        left.append(torch.load(run / STATE_NAME, weights_only=True)["unfinished"])
        assert equal(whole, weights(train(config(data), run, Caller()))), share
    assert any(left)


def test_two_processes_compute_what_one_does(data, tmp_path):
    """Their batch normalisation sees the batch of both. One step: later ones multiply the rounding of the first."""
    shared = {"kimg": 0.008, "glr": 1e-4, "dlr": 1e-4}
    alone = weights(train(config(data, **shared), tmp_path / "alone", Stopper()))
    settings = {**TINY_OF["stylegan2"], **FEW, **shared}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={free_port()}",
        "-m", "ganlib", "train", f"--data={data}", f"--outdir={tmp_path / 'runs'}", "--device=cpu", *flags,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    (run,) = (p for p in (tmp_path / "runs").iterdir() if p.is_dir())
    together = weights(next(run.glob("network-snapshot-*")))
    fresh = weights(train(config(data, **shared | {"glr": 1e-12, "dlr": 1e-12}), tmp_path / "fresh", Stopper()))
    for name, tensor in alone.items():
        torch.testing.assert_close(together[name], tensor, rtol=1e-3, atol=1e-4, msg=name)
    means = [name for name in alone if name.endswith("running_mean")]
    assert means
    assert any(not torch.allclose(alone[name], fresh[name]) for name in alone if name.endswith("original"))


def test_rounds_share_a_batch(data, tmp_path):
    reporter = Stopper()
    train(config(data, batch_gpu=4, kimg=0.016), tmp_path / "run", reporter)
    assert reporter.records[0]["Loss/D/loss"]["num"] == 4 * 16


def test_grey_sets_and_sets_of_twenty_classes_train(tmp_path):
    grey = pictures(24)[..., :1].repeat(3, axis=3)
    many = write_set(tmp_path / "many.zip", grey, labels=np.arange(24) % 20)
    assert checkpoints.read_card(train(config(many, cond=True), tmp_path / "many", Stopper())).spec.label_dim == 20


def test_a_model_of_one_discriminator_starts_a_run_of_another(data, tmp_path):
    first = train(TrainConfig(data=str(data), **TINY_OF["stylegan2"]), tmp_path / "a", Stopper())
    reporter = Stopper()
    second = train(config(data, resume=str(first), kimg=0.128), tmp_path / "b", reporter)
    assert any("D starts from nothing" in line for line in reporter.lines)
    assert checkpoints.read_card(second).discriminator.kind == "projected"
    with pytest.raises(CheckpointError, match="discriminator is projected there and own here") as caught:
        plan(TrainConfig(data=str(data), **TINY_OF["stylegan2"] | {"resume": str(tmp_path / "b"), "kimg": 1.0}))
    assert "--discriminator projected" in caught.value.hint


def test_what_it_cannot_do_is_said(data, tmp_path):
    with pytest.raises(InputError, match="does not follow ProGAN, which grows"):
        plan(config(data, "progan"))
    first = train(config(data), tmp_path / "a", Stopper())
    with pytest.raises(InputError, match="freezed = 2"):
        plan(config(data, resume=str(first), freezed=2, kimg=1.0))
    with pytest.raises(InputError, match="d_width is an option of --discriminator projected"):
        plan(config(data, discriminator="own"))


def test_its_defaults_come_before_the_familys_and_after_what_is_said(data):
    plain = TrainConfig(data=str(data), discriminator="projected").resolve()
    assert (plain.loss, plain.gamma, plain.aug, plain.pl_weight, plain.glr) == ("hinge", 0.0, "diffaug", 0.0, 0.002)
    said = TrainConfig(data=str(data), discriminator="projected", loss="logistic", glr=0.001, aug="ada").resolve()
    assert (said.loss, said.glr, said.aug) == ("logistic", 0.001, "ada")
    own = TrainConfig(data=str(data)).resolve()
    assert (own.loss, own.gamma, own.aug, own.pl_weight, own.glr) == ("logistic", None, "ada", 2.0, 0.0025)


class Toy(Discriminator):
    """Judges the mean of each colour."""

    def __init__(self, spec, params):
        super().__init__()
        self.spec, self.fc = spec, torch.nn.Linear(spec.img_channels, params["judges"])

    def forward(self, img, label=None, maps=None):
        return self.fc(img.mean(dim=[2, 3]))


def test_a_toy_discriminator_is_found_everywhere(data, tmp_path, monkeypatch, capsys, repository):
    """On the command line, in the page's choices, in a run and in its models; no other file knows of it."""
    from streamlit.testing.v1 import AppTest

    from ganlib.__main__ import main

    row = DiscriminatorKind("toy", "Toy", "judges mean colours", Toy, lambda **facts: {"judges": 2},
                            train_defaults={"loss": "hinge", "glr": 0.125})  # fmt: skip
    monkeypatch.setitem(networks.DISCRIMINATORS, "toy", row)
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "one of own, projected, toy" in " ".join(capsys.readouterr().out.split())
    settings = TrainConfig(data=str(data), **TINY_OF["stylegan2"] | {"discriminator": "toy", "kimg": 0.016})
    assert settings.resolve().glr == 0.125
    path = train(settings, tmp_path / "run", Stopper())
    assert checkpoints.read_card(path).discriminator.params == {"judges": 2}
    assert isinstance(checkpoints.load_discriminator(path), Toy)
    monkeypatch.setenv("ATELIER_RUNS", str(tmp_path / "none"))
    monkeypatch.setenv("ATELIER_DATA", str(data.parent))
    app = AppTest.from_file(str(repository / "pages" / "train.py"), default_timeout=60).run()
    (field,) = [box for box in app.selectbox if box.label == "discriminator"]
    assert "toy" in field.options


class ToyGenerator(Generator):
    """A picture is a matrix times z."""

    def __init__(self, spec):
        super().__init__()
        self.spec, self.fc = spec, torch.nn.Linear(spec.z_dim, spec.img_channels * spec.resolution**2)
        self.mapping = lambda z, label=None: z

    @property
    def w_avg(self):
        return torch.zeros(self.spec.w_dim)

    def synthesis(self, w_plus, noise_mode="none", rng=None):
        return self.fc(w_plus[:, 0]).unflatten(1, (self.spec.img_channels, self.spec.resolution, -1))


def make_toy_spec(*, resolution, img_channels=3, label_dim=0, z_dim=8):
    return GeneratorSpec("toy", resolution, img_channels, z_dim, z_dim, 1, label_dim)


def test_a_toy_family_is_found_everywhere(data, tmp_path, monkeypatch, capsys, repository):
    """On the command line, in the page's choices, in a run, and as a picture; no other file knows of it."""
    from streamlit.testing.v1 import AppTest

    from ganlib.__main__ import main

    row = Architecture(
        name="toy", title="Toy", signature_key="", trainable=True, build_G=ToyGenerator, build_D=lambda spec: None,
        make_spec=make_toy_spec, infer_spec=lambda tensors: None, style_weights=lambda G: {},
        train_defaults={"discriminator": "projected", "glr": 0.01}, tiny=lambda: make_toy_spec(resolution=16),
    )  # fmt: skip
    monkeypatch.setitem(networks.ARCHITECTURES, "toy", row)
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "stylegan2, toy" in " ".join(capsys.readouterr().out.split())
    settings = {**TINY_OF["dcgan"], "arch": "toy", "d_width": 4, "feature_side": 64, "kimg": 0.016}
    settings = {name: value for name, value in settings.items() if name not in ("ngf", "ndf", "aug")}
    assert TrainConfig(data=str(data), **settings).resolve().glr == 0.01
    path = train(TrainConfig(data=str(data), **settings), tmp_path / "run", Stopper())
    assert main(["generate", "--network", str(path), "--seeds", "1-2", "--outdir", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 2
    with pytest.raises(InputError, match="Toy has no option ngf"):
        plan(TrainConfig(data=str(data), **settings, ngf=8))
    monkeypatch.setenv("ATELIER_RUNS", str(tmp_path / "none"))
    monkeypatch.setenv("ATELIER_DATA", str(data.parent))
    app = AppTest.from_file(str(repository / "pages" / "train.py"), default_timeout=60).run()
    (field,) = [box for box in app.selectbox if box.label == "arch"]
    assert "toy" in field.options and "stylegan3" not in field.options


def test_settings_of_a_projected_run_go_through_json(data):
    settings = config(data)
    assert TrainConfig.from_dict(settings.to_dict()) == settings
    assert replace(settings, discriminator="own", d_width=None, feature_side=None).validate()
