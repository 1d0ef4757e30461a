"""Two models become one, whose card says of what it was made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ganlib import networks
from ganlib.__main__ import main
from ganlib.base.errors import CheckpointError, InputError
from ganlib.models import checkpoints
from ganlib.models.blending import blend, blend_networks, blend_sides, kinship, shares_by_side

FAMILIES = sorted(networks.ARCHITECTURES)


def offspring(arch="stylegan2", *, step=0.3, seed=5, **options):
    """A generator, and one that was trained on from it: a step away in every parameter."""
    A, B = networks.tiny_generator(arch, **options), networks.tiny_generator(arch, **options)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in B.state_dict().values():
            if tensor.is_floating_point() and tensor.ndim:
                tensor.add_(torch.randn(tensor.shape, generator=rng) * step * tensor.std(correction=0).clamp(min=0.05))
    return A.requires_grad_(False), B.requires_grad_(False)


@pytest.fixture
def parents(tmp_path) -> tuple[Path, Path]:
    """Two related models as files, the second under a stricter licence and without words on its data."""
    paths = tmp_path / "plum.safetensors", tmp_path / "pear.safetensors"
    words = [("Plum", "CC0-1.0", "an orchard"), ("Pear", "CC-BY-NC-4.0", "a market")]
    for path, G, (title, licence, data) in zip(paths, offspring(), words, strict=True):
        D = networks.build_discriminator(G.spec)
        checkpoints.save_snapshot(path, G_ema=G, D=D, title=title, licence=licence, data=data)
    return paths


def picture(G, count=2):
    z = torch.randn(count, G.spec.z_dim, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return G.synthesis(G.mapping(z)[:, None].repeat(1, G.spec.num_ws, 1), noise_mode=G.spec.noise_modes[0])


def tensors_from(G, A, B):
    """Names of tensors that are the first's and the second's, where those two differ."""
    a, b, g = A.state_dict(), B.state_dict(), G.state_dict()
    differ = [name for name in g if not torch.equal(a[name], b[name])]
    first = {name for name in differ if torch.equal(g[name], a[name])}
    second = {name for name in differ if torch.equal(g[name], b[name])}
    return first, second, set(differ) - first - second


# ---- Networks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", FAMILIES)
def test_an_average_begins_at_the_first_and_ends_at_the_second(arch):
    A, B = offspring(arch)
    assert torch.equal(picture(blend_networks(A, B, amount=0.0)), picture(A))
    torch.testing.assert_close(picture(blend_networks(A, B, amount=1.0)), picture(B))
    quarter = blend_networks(A, B, amount=0.25).state_dict()
    for name, tensor in A.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(quarter[name], 0.75 * tensor + 0.25 * B.state_dict()[name])
    assert torch.isfinite(picture(blend_networks(A, B))).all()


@pytest.mark.parametrize("arch", FAMILIES)
def test_swapped_layers_are_the_firsts_up_to_a_side_and_the_seconds_above(arch):
    small = len(blend_sides(networks.architecture(arch).tiny())) < 2
    A, B = offspring(arch, **({"resolution": 64} if small else {}))
    sides = blend_sides(A.spec)
    assert sides[-1] == A.spec.resolution
    at = sides[len(sides) // 2 - 1]
    G = blend_networks(A, B, swap_at=at)
    first, second, mixed = tensors_from(G, A, B)
    side_of = networks.architecture(arch).tensor_side
    assert mixed == set()
    assert all((side_of(name) or 0) <= at for name in first) and first
    assert all((side_of(name) or 0) > at for name in second) and second
    assert not torch.equal(picture(G), picture(A)) and not torch.equal(picture(G), picture(B))


def test_mapping_and_centre_stay_the_firsts_when_layers_are_swapped():
    A, B = offspring()
    G = blend_networks(A, B, swap_at=4, amount=0.5)
    assert torch.equal(G.w_avg, A.w_avg) and not torch.equal(A.w_avg, B.w_avg)
    first, second, mixed = tensors_from(G, A, B)
    assert second == set() and "synthesis.b8.conv0.weight" in mixed and "synthesis.b4.const" in first
    assert {name for name in first if name.startswith("mapping.")} >= {"mapping.fc0.weight", "mapping.w_avg"}


def test_a_smooth_step_rises_with_the_side_and_stays_within_its_ends():
    sides = (4, 8, 16, 32, 64, 128)
    assert shares_by_side(sides, swap_at=16) == (0.0, {4: 0, 8: 0, 16: 0, 32: 1, 64: 1, 128: 1})
    rest, smooth = shares_by_side(sides, swap_at=16, smooth=4, amount=0.8)
    assert rest == 0.0
    assert list(smooth.values()) == pytest.approx([0.0, 0.1, 0.3, 0.5, 0.7, 0.8])


def test_single_sides_can_have_their_own_amount():
    assert shares_by_side((4, 8, 16), amount=0.2, amounts={8: 0.9}) == (0.2, {4: 0.2, 8: 0.9, 16: 0.2})
    A, B = offspring()
    G = blend_networks(A, B, amount=0.0, amounts={16: 1.0})
    assert torch.equal(G.state_dict()["synthesis.b16.conv1.weight"], B.state_dict()["synthesis.b16.conv1.weight"])
    assert torch.equal(G.state_dict()["synthesis.b8.conv1.weight"], A.state_dict()["synthesis.b8.conv1.weight"])


def test_a_blend_leaves_its_parents_alone():
    A, B = offspring()
    before = picture(A), picture(B)
    G = blend_networks(A, B, swap_at=8)
    with torch.no_grad():
        for tensor in G.state_dict().values():
            tensor.zero_()
    assert torch.equal(picture(A), before[0]) and torch.equal(picture(B), before[1])


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"amount": 1.5}, "outside 0 … 1"),
        ({"amount": float("nan")}, "outside 0 … 1"),
        ({"swap_at": 16}, "swapped at 16 px"),
        ({"swap_at": 5}, "swapped at 5 px"),
        ({"smooth": 1.0}, "doublings"),
        ({"swap_at": 8, "smooth": -1.0}, "doublings"),
        ({"amounts": {32: 1.0}}, "no layers of 32 px"),
        ({"amounts": {8: 2.0}}, "outside 0 … 1"),
    ],
)
def test_numbers_outside_their_range_are_refused(choices, words):
    A, B = offspring()
    with pytest.raises(InputError, match=words):
        blend_networks(A, B, **choices)


def test_a_family_without_layers_by_side_cannot_swap():
    for sides in ((), (16,)):
        with pytest.raises(InputError, match="do not differ in resolution"):
            shares_by_side(sides, swap_at=8)
    assert shares_by_side((), amount=0.5) == (0.5, {})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"resolution": 32}, "resolution 16 and 32"),
        ({"label_dim": 3}, "label_dim 0 and 3"),
        ({"architecture": "resnet"}, "architecture skip and resnet"),
        ({"resample_filter": (1, 2, 2, 1)}, "resample_filter"),
        ({"mapping_layers": 3}, "mapping_layers 2 and 3"),
        ({"channel_max": 8}, r"synthesis.*\(8, "),
    ],
)
def test_models_that_are_built_otherwise_are_refused_with_the_difference(options, words):
    with pytest.raises(InputError, match=words):
        blend_networks(networks.tiny_generator(), networks.tiny_generator(**options))
    with pytest.raises(InputError, match="arch stylegan2 and progan"):
        blend_networks(networks.tiny_generator(), networks.tiny_generator("progan"))


def test_what_changes_no_picture_of_equal_tensors_may_differ():
    A, B = offspring()
    B.spec = replace(B.spec, params={**B.spec.params, "conv_clamp": 256.0, "num_fp16_res": 4, "D": {}})
    assert blend_networks(A, B).spec == A.spec


@pytest.mark.parametrize("arch", FAMILIES)
def test_relatives_are_told_from_strangers(arch):
    A, B = offspring(arch)
    assert kinship(A, A) == pytest.approx(1.0)
    assert kinship(A, B) > 0.5
    assert abs(kinship(A, networks.tiny_generator(arch, seed=9))) < 0.2


# ---- Files ---------------------------------------------------------------------------------------------------------


def test_a_blends_card_names_parents_the_stricter_licence_and_both_credits(tmp_path, parents):
    notes: list[str] = []
    card = blend(*parents, tmp_path / "c.safetensors", swap_at=8, amount=0.5, report=notes.append)
    first, second = (checkpoints.read_card(path) for path in parents)
    assert [dict(parent) for parent in card.parents] == [
        {"title": "Plum", "digest": first.digest, "licence": "CC0-1.0"},
        {"title": "Pear", "digest": second.digest, "licence": "CC-BY-NC-4.0"},
    ]
    assert (card.title, card.licence, card.data) == ("Plum × Pear", "CC-BY-NC-4.0", "an orchard; a market")
    assert card.source.endswith("from Plum and Pear: layers above 8 px are 50 % of the second's")
    assert not card.has_discriminator and card.digest not in (first.digest, second.digest)
    assert notes == []
    made = checkpoints.load_generator(card.path)
    expected = blend_networks(*(checkpoints.load_generator(path) for path in parents), swap_at=8, amount=0.5)
    assert torch.equal(picture(made), picture(expected))


def test_half_precision_and_a_title_are_as_asked(tmp_path, parents):
    whole = blend(*parents, tmp_path / "c.safetensors")
    half = blend(*parents, tmp_path / "d.safetensors", title="Quince", half=True)
    assert half.title == "Quince" and half.bytes < 0.7 * whole.bytes
    assert "50 % of the second's weights" in whole.source


def test_strangers_and_licences_that_forbid_sharing_are_told(tmp_path, parents):
    stranger = tmp_path / "stranger.safetensors"
    checkpoints.save_snapshot(stranger, G_ema=networks.tiny_generator(seed=9), licence="CC BY-NC-ND 4.0", title="Far")
    notes: list[str] = []
    card = blend(parents[0], stranger, tmp_path / "c.safetensors", report=notes.append)
    assert "hardly related" in notes[0] and "forbids to share" in notes[1]
    assert (card.licence, card.data) == ("CC BY-NC-ND 4.0", "an orchard")


def test_an_unknown_licence_stays_unknown(tmp_path, parents):
    checkpoints.change_card(parents[1], licence="")
    assert blend(*parents, tmp_path / "c.safetensors").licence == "unknown"


def test_a_file_that_is_there_is_not_replaced(tmp_path, parents):
    with pytest.raises(CheckpointError, match="exists already"):
        blend(*parents, parents[0])
    with pytest.raises(CheckpointError, match="no name of a model"):
        blend(*parents, tmp_path / "c.pt")


def test_the_command_blends_and_says_how_and_under_which_licence(tmp_path, parents, capsys):
    dest = tmp_path / "new" / "c.safetensors"
    words = ["blend", "--network", str(parents[0]), "--other", str(parents[1]), "--dest", str(dest)]
    assert main([*words, "--swap-at", "4", "--smooth", "2"]) == 0
    out = capsys.readouterr().out
    assert "layers above 4 px are the second's, over 2 doublings" in out and "not for sale" in out
    assert checkpoints.read_card(dest).title == "Plum × Pear"
    assert main([*words, "--amount", "0.5"]) == 2
    assert "exists already" in capsys.readouterr().err
