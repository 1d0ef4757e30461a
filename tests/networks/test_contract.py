"""What every architecture in the registry promises."""

import json

import pytest
import torch

from ganlib import networks
from ganlib.base.errors import CheckpointError, InputError
from ganlib.networks.base import GeneratorSpec


@pytest.mark.parametrize("arch", sorted(networks.ARCHITECTURES))
class TestContract:
    def test_shapes_and_ranges(self, arch):
        G = networks.tiny_generator(arch)
        spec = G.spec
        w = G.mapping(torch.randn(3, spec.z_dim), torch.zeros(3, spec.label_dim) if spec.label_dim else None)
        assert w.shape == (3, spec.w_dim)
        for mode in spec.noise_modes:
            image = G.synthesis(w[:, None].repeat(1, spec.num_ws, 1), noise_mode=mode)
            assert image.shape == (3, spec.img_channels, spec.resolution, spec.resolution)
            assert image.dtype == torch.float32
            assert torch.isfinite(image).all()
        assert G.w_avg.shape == (spec.w_dim,)

    def test_spec_survives_json(self, arch):
        spec = networks.ARCHITECTURES[arch].tiny()
        assert GeneratorSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec

    def test_infer_spec_reads_the_tensors(self, arch):
        G = networks.tiny_generator(arch)
        inferred = networks.ARCHITECTURES[arch].infer_spec(G.state_dict())
        rebuilt = networks.build_generator(inferred)
        rebuilt.load_state_dict(G.state_dict())
        for name in ("resolution", "img_channels", "z_dim", "w_dim", "num_ws", "label_dim"):
            assert getattr(inferred, name) == getattr(G.spec, name)

    def test_discriminator_gives_one_logit_a_picture(self, arch):
        spec = networks.ARCHITECTURES[arch].tiny()
        D = networks.build_discriminator(spec)
        assert D(torch.zeros(4, spec.img_channels, spec.resolution, spec.resolution)).shape == (4, 1)

    def test_labels_change_picture_and_logit_and_are_required(self, arch):
        torch.manual_seed(0)
        G = networks.tiny_generator(arch, label_dim=3)
        D = networks.build_discriminator(G.spec)
        z, labels = torch.randn(1, G.spec.z_dim).repeat(2, 1), torch.eye(3)[:2]
        w = G.mapping(z, labels)
        assert w.shape == (2, G.spec.w_dim)
        assert (w[0] - w[1]).abs().max() > 1e-3
        image = G.synthesis(w[:, None].repeat(1, G.spec.num_ws, 1))
        assert not torch.equal(image[0], image[1])
        logits = D(image[:1].repeat(2, 1, 1, 1), labels)
        assert logits[0].item() != logits[1].item()
        for missing in (lambda: G.mapping(z), lambda: D(image)):
            with pytest.raises(InputError, match="no label"):
                missing()

    def test_tiny_takes_the_options_of_its_family_only(self, arch):
        assert networks.tiny_generator(arch, resolution=32, img_channels=1).spec.resolution == 32
        with pytest.raises(InputError, match="no option wings"):
            networks.tiny_generator(arch, wings=2)

    def test_tiny_weights_follow_the_seed(self, arch):
        a, b, c = (networks.tiny_generator(arch, seed=s) for s in (1, 1, 2))
        key = next(iter(dict(a.named_parameters())))
        assert torch.equal(a.state_dict()[key], b.state_dict()[key])
        assert not torch.equal(a.state_dict()[key], c.state_dict()[key])

    def test_style_weights_take_w(self, arch):
        G = networks.tiny_generator(arch)
        for weight in networks.ARCHITECTURES[arch].style_weights(G).values():
            assert weight.shape[1] == G.spec.w_dim


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
@pytest.mark.parametrize("d_architecture", ["resnet", "skip", "orig"])
def test_every_stylegan2_architecture_builds(architecture, d_architecture):
    G = networks.tiny_generator(architecture=architecture, label_dim=2, D={"D_architecture": d_architecture})
    D = networks.build_discriminator(G.spec)
    image = G(torch.randn(2, G.spec.z_dim), torch.eye(2))
    assert D(image, torch.eye(2)).shape == (2, 1)
    inferred = networks.ARCHITECTURES["stylegan2"].infer_spec(G.state_dict())
    assert inferred.params["architecture"] == architecture


@pytest.mark.parametrize(
    "change",
    [{"resolution": 10**9}, {"z_dim": -1}, {"num_ws": "8"}, {"noise_modes": ["loud"]}, {"extra": 1}, {"params": 3},
     {"arch": "biggan"}, {"params": {}}, {"params": {"channel_base": 10**12, "channel_max": "x"}}],
)  # fmt: skip
def test_a_hostile_spec_ends_in_a_clear_error(change):
    values = {**networks.ARCHITECTURES["stylegan2"].tiny().to_dict(), **change}
    with pytest.raises(CheckpointError):
        networks.build_generator(GeneratorSpec.from_dict(values))


@pytest.mark.parametrize("resolution", [0, 4, 48, -64])
def test_impossible_resolutions_are_refused(resolution):
    with pytest.raises(InputError):
        networks.ARCHITECTURES["stylegan2"].make_spec(resolution=resolution)
