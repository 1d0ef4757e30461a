"""The projected discriminator: frozen eyes and mixtures, heads that learn."""

import copy
import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from ganlib import networks
from ganlib.base.errors import CheckpointError, InputError
from ganlib.models import checkpoints
from ganlib.networks import efficientnet, projected
from ganlib.networks.base import DiscriminatorSpec

PARAMS = {"width": 8, "feature_side": 64, "seed": 3}


def spec_of(**options):
    return networks.architecture("stylegan2").make_spec(
        **{"resolution": 32, "channel_base": 128, "channel_max": 8, "z_dim": 16, "w_dim": 16} | options
    )


def judge(spec=None, **params):
    torch.manual_seed(0)
    return networks.build_discriminator(spec or spec_of(), DiscriminatorSpec("projected", PARAMS | params))


def pictures(count=4, side=32, channels=3, seed=0):
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_it_gives_a_logit_for_each_scale_and_knows_its_spec():
    D = judge()
    assert D(pictures()).shape == (4, 4) and D(pictures()).dtype == torch.float32
    assert D.own_spec == DiscriminatorSpec.from_dict(D.own_spec.to_dict())


def test_the_mixtures_are_those_of_the_paper():
    """Section 3.2 once more, in another way: einsum over channels, and bilinear enlarging by its kernel."""
    D, img = judge(), pictures(2)
    rgb = F.interpolate((img + 1) * 127.5, (64, 64), mode="bilinear")
    maps = efficientnet.load_frozen(torch.device("cpu")).pyramid(rgb)
    generator = torch.Generator().manual_seed(3)
    widths, channels = (8, 16, 32, 64), (24, 40, 112, 320)
    ccm = [torch.randn(o, i, 1, 1, generator=generator)[:, :, 0, 0] / math.sqrt(i) / s
           for o, i, s in zip(widths, channels, projected.MAP_SCALES, strict=True)]  # fmt: skip
    csm = [torch.randn(o, i, 1, 1, generator=generator)[:, :, 0, 0] / math.sqrt(i)
           for o, i in pairwise(widths)]  # fmt: skip
    above = torch.einsum("oi,nihw->nohw", ccm[3], maps[3])
    expected = [above]
    for level in (2, 1, 0):
        kernel = torch.outer(*[torch.tensor([0.25, 0.75, 0.75, 0.25])] * 2).expand(above.shape[1], 1, 4, 4)
        edged = F.pad(above, (1, 1, 1, 1), mode="replicate")
        large = F.conv_transpose2d(edged, kernel, stride=2, padding=3, groups=above.shape[1])
        above = (torch.einsum("oi,nihw->nohw", ccm[level], maps[level])
                 + torch.einsum("oi,nihw->nohw", csm[level], large)) / math.sqrt(2)  # fmt: skip
        expected.insert(0, above)
    for mine, other in zip(D.mixtures(img), expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-4)


def test_mixtures_are_of_order_one_on_pictures():
    from sklearn.datasets import load_sample_images

    photos = [torch.from_numpy(x[:256, :256].copy()) for x in load_sample_images().images]
    D = judge(spec_of(resolution=256, channel_base=4096), feature_side=128, width=64)
    for mixture in D.mixtures(torch.stack(photos).permute(0, 3, 1, 2).float() / 127.5 - 1):
        assert 0.3 < float(mixture.square().mean().sqrt()) < 3


def test_frozen_parts_are_neither_trained_nor_saved_nor_hashed(tmp_path):
    D, other = judge().train(), judge(seed=4).train()
    img = pictures(8).requires_grad_()
    before = [x.detach().clone() for x in D.mixtures(img)]
    optimizer = torch.optim.Adam(D.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        D(img).sum().backward()
        optimizer.step()
    assert img.grad is not None and float(img.grad.abs().sum()) > 0
    assert all(torch.equal(a, b) for a, b in zip(before, D.mixtures(img), strict=True))
    assert not any(p.grad is not None for p in efficientnet.load_frozen(torch.device("cpu")).parameters())
    assert not any("eyes" in name or "frozen" in name for name in D.state_dict())
    assert sum(p.numel() for p in D.parameters()) < 200_000, "the eyes have 3 million"
    assert not torch.equal(other.mixtures(img)[0], before[0]), "the seed decides the projections"
    G = networks.build_generator(spec_of())
    card = checkpoints.save_snapshot(tmp_path / "m.safetensors", G_ema=G, D=D)
    assert card.bytes < 1_500_000 and card.discriminator == D.own_spec
    again = checkpoints.load_discriminator(card.path)
    torch.testing.assert_close(again(pictures()), D.eval()(pictures()), msg="a model opened again sees as it did")


def test_a_copy_sees_the_same():
    D = judge()
    assert torch.equal(copy.deepcopy(D)(pictures()), D(pictures()))


def test_it_is_built_without_weights_on_meta():
    with torch.device("meta"):
        D = networks.build_discriminator(spec_of(), DiscriminatorSpec("projected", PARAMS))
    assert all(p.device.type == "meta" for p in D.parameters()) and len(D.layers()) > 4


def test_classes_are_judged_by_projection():
    D = judge(spec_of(label_dim=3))
    one, two = (F.one_hot(torch.full((4,), k), 3).float() for k in (0, 2))
    assert not torch.equal(D(pictures(), one), D(pictures(), two))
    with pytest.raises(InputError, match="classes"):
        D(pictures())


def test_grey_pictures_look_as_their_rgb():
    grey = pictures(channels=1)
    D, colour = judge(spec_of(img_channels=1)), judge()
    colour.load_state_dict(D.state_dict())
    torch.testing.assert_close(D(grey), colour(grey.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize("side", [16, 64, 128, 256])
def test_pictures_of_any_side_are_seen_at_its_own(side):
    assert judge(spec_of(resolution=side, channel_base=4096))(pictures(2, side)).shape == (2, 4)


def test_heads_learn_what_sets_two_kinds_of_pictures_apart():
    torch.manual_seed(0)
    D = judge().train()
    smooth = F.interpolate(torch.rand(64, 3, 4, 4) * 2 - 1, (32, 32), mode="bicubic")
    rough = smooth + 0.15 * torch.randn(64, 3, 32, 32)
    optimizer = torch.optim.Adam(D.parameters(), lr=0.002, betas=(0.0, 0.99))
    for step in range(40):
        some = slice(8 * (step % 6), 8 * (step % 6) + 8)
        optimizer.zero_grad()
        loss = F.relu(1 - D(smooth[some])).mean() + F.relu(1 + D(rough[some])).mean()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        D.eval()
        assert float((D(smooth[48:]).mean(dim=1) > 0).float().mean()) > 0.8, "held-out ones too"
        assert float((D(rough[48:]).mean(dim=1) < 0).float().mean()) > 0.8


def test_a_kind_that_is_not_known_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="'oracle' is unknown") as caught:
        networks.build_discriminator(spec_of(), DiscriminatorSpec("oracle"))
    assert "own, projected" in caught.value.hint


@pytest.mark.parametrize(
    "values",
    [None, [], {"kind": "projected"}, {"kind": 3, "params": {}}, {"kind": "x" * 41, "params": {}},
     {"kind": "projected", "params": {"width": 10**9}}, {"kind": "projected", "params": {"seed": "a"}},
     {"kind": "projected", "params": {"deep": [[[[[[1]]]]]]}}],
)  # fmt: skip
def test_a_hostile_spec_is_refused(values):
    with pytest.raises(CheckpointError):
        DiscriminatorSpec.from_dict(values)


def test_what_lacks_parameters_is_refused_in_words():
    with pytest.raises(CheckpointError, match="cannot be built"):
        networks.build_discriminator(spec_of(), DiscriminatorSpec("projected", {"width": 8}))


@pytest.mark.parametrize("side", [32, 100, 1024])
def test_a_side_that_the_scales_cannot_have_is_refused(side):
    with pytest.raises(InputError, match=f"feature_side = {side}"):
        projected.make_params(resolution=64, feature_side=side)


def test_features_are_what_the_last_layers_judge():
    for D, maps in ((judge(), []), (networks.build_discriminator(spec_of()), [])):
        D(pictures(), None, maps)
        assert all(torch.equal(a, b) for a, b in zip(maps, D.features(pictures()), strict=True)) and len(maps) >= 3
