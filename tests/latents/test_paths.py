"""Curves through latent space: they pass their keyframes, close without a jump, and slerp stays on the sphere."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from ganlib.base.errors import InputError
from ganlib.latents.paths import (
    CURVES,
    EASINGS,
    Keyframe,
    LatentPath,
    PathWalker,
    circle,
    class_path,
    coupling,
    direction_path,
    ease,
    psi_path,
    slerp,
    wander,
)
from ganlib.latents.paths.arcs import circle_weights
from ganlib.latents.recipes import Edit, Recipe, seed_z, truncate
from ganlib.networks.base import GeneratorSpec

Z, W, LAYERS = 6, 5, 4

SPEC = GeneratorSpec("plain", 8, 3, Z, W, LAYERS, label_dim=3, truncatable=True)


@dataclass
class Source:
    """A renderer's latent half with a mapping that is neither linear nor blind to the label."""

    spec: GeneratorSpec = SPEC
    w_avg: torch.Tensor = field(default_factory=lambda: torch.linspace(-0.5, 0.5, W))

    def mapping(self, z, labels=None):
        z = torch.as_tensor(z, dtype=torch.float32)
        matrix = torch.from_numpy(np.random.RandomState(3).randn(Z, W)).float()
        shift = torch.tensor([0.0 if label is None else 1.0 + label for label in labels or [None] * len(z)])
        return torch.tanh(z @ matrix) + 0.3 * shift[:, None]

    def w_plus(self, recipes):
        rows = []
        for recipe in recipes:
            if recipe.base is not None:
                row = torch.full((LAYERS, W), 2.0)
            else:
                parts = zip(recipe.seeds, recipe.blend_weights, strict=True)
                w = sum(self.mapping(seed_z(s, Z), [recipe.label]) * weight for (s, _), weight in parts)
                row = w.repeat(LAYERS, 1)
            for layer, seed in recipe.mix:
                row[layer] = self.mapping(seed_z(seed, Z), [recipe.label])[0]
            row = truncate(row[None], self.w_avg, recipe.psi, recipe.cutoff)[0]
            for edit in recipe.edits:
                row[edit.first : None if edit.last is None else edit.last + 1] += edit.strength
            rows.append(row)
        return torch.stack(rows)


SOURCE = Source()
RICH = [
    Recipe(seeds=((1, 0.6), (2, 0.4)), label=0, psi=0.5, cutoff=2, edits=(Edit("a", 1.5, 1, 2),)),
    Recipe.of_seed(3, label=2, psi=-0.5, mix=((0, 9), (3, 8))),
    Recipe(seeds=((4, 3.0), (5, -1.0), (6, 1.0)), label=2),
]
UNEVEN = (0.5, 1.25, 0.75)


def path_of(recipes, curve, loop, seconds=UNEVEN) -> LatentPath:
    return LatentPath(tuple(Keyframe(recipe, s) for recipe, s in zip(recipes, seconds, strict=False)), curve, loop)


THROUGH = tuple(curve for curve in CURVES if curve != "noise")  # which stays beside its keyframes


@pytest.mark.parametrize("curve, loop", [(c, loop) for c in THROUGH for loop in (True, False) if c != "circle" or loop])
def test_every_keyframe_is_its_own_picture(curve, loop):
    path = path_of(RICH, curve, loop)
    knots = np.cumsum([0.0, *path.segment_seconds])
    got = PathWalker(path, SOURCE).w_plus(knots)
    want = SOURCE.w_plus([*RICH, RICH[0]] if loop else RICH)
    assert torch.allclose(got, want, atol=1e-5)
    just_before = PathWalker(path, SOURCE).w_plus(knots[1:] - 1e-7)
    assert torch.allclose(just_before, want[1:], atol=1e-4), "no jump where a segment ends"


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("recipes", [RICH, RICH[:2], [RICH[0], RICH[0]], [Recipe.of_seed(5), Recipe(base="p")]])
def test_a_loop_closes_with_even_steps_and_repeats_no_frame(curve, recipes):
    path = path_of(recipes, curve, True, (1.0, 1.0, 1.0))
    frames = path.frame_w_plus(SOURCE, 24)
    assert frames.shape == (24 * len(recipes), LAYERS, W) and torch.isfinite(frames).all()
    again = PathWalker(path, SOURCE).w_plus(path.times(24, [len(frames)]))
    assert torch.allclose(again[0], frames[0], atol=1e-6), "frame F would be frame 0"
    if recipes[0] == recipes[1] and curve != "noise":
        assert torch.allclose(frames, frames[:1], atol=1e-5)
        return
    steps = (frames.roll(-1, 0) - frames).flatten(1).norm(dim=1)
    assert steps.min() > 0
    assert steps[-1] <= 1.5 * max(steps[-2], steps[0]) and steps[-1] >= min(steps[-2], steps[0]) / 1.5


def test_a_cubic_loop_of_two_goes_there_and_back_smoothly():
    path = path_of([Recipe.of_seed(1), Recipe.of_seed(2)], "cubic", True, (1.0, 1.0))
    weights = path.weights(np.linspace(0, 2, 201))
    assert np.allclose(weights.sum(1), 1) and np.allclose(weights[0], weights[-1])
    assert weights[:, 0].min() > -1e-9 and weights[:, 0].max() < 1 + 1e-9, "no overshoot"
    assert np.allclose(weights[:101], weights[::-1][:101]), "the way back is the way there"
    assert np.allclose(weights[50], 0.5) and abs(weights[1, 0] - 1) < 1e-3, "it turns at rest"


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_cubic_speed_and_acceleration_are_continuous(loop, count):
    seconds = [0.4 + 0.3 * (i % 3) for i in range(count)]
    path = path_of([Recipe.of_seed(i) for i in range(count)], "cubic", loop, seconds)
    step = 1e-4
    knots = np.cumsum([0.0, *path.segment_seconds])[slice(0, -1) if loop else slice(1, -1)]
    if not len(knots):
        assert np.allclose(path.weights(np.array([0.1]))[0], [0.75, 0.25]), "an open path of two is straight"
        return

    def derivatives(side):
        at = [path.weights(knots + side * step * i) for i in range(4)]
        return side * (-11 * at[0] + 18 * at[1] - 9 * at[2] + 2 * at[3]) / (6 * step), (
            2 * at[0] - 5 * at[1] + 4 * at[2] - at[3]
        ) / step**2

    (v0, a0), (v1, a1) = derivatives(-1), derivatives(1)
    assert np.allclose(v0, v1, atol=1e-5) and np.allclose(a0, a1, atol=1e-3)


@pytest.mark.parametrize(
    "fps, loop, seconds, frames", [(30, True, 4.0, 120), (24, False, 2.0, 49), (30, True, 1.01, 30)]
)
def test_the_number_of_frames(fps, loop, seconds, frames):
    path = path_of([Recipe.of_seed(1), Recipe.of_seed(2)], "linear", loop, [seconds / (2 if loop else 1)] * 2)
    assert path.num_frames(fps) == frames and len(path.times(fps)) == frames
    assert path.times(fps, [0])[0] == 0 and path.times(fps)[-1] <= path.seconds
    assert np.diff(path.times(fps)) == pytest.approx(np.full(frames - 1, 1 / fps), rel=0.02)
    if not loop:
        assert path.times(fps)[-1] == pytest.approx(path.seconds)


@pytest.mark.parametrize(
    "seeds, loop, seconds, fps, frames",
    [
        ("12", True, (0.5, 0.5), 13, 14),  # turns between frames 6 and 7 of 13
        ("12", True, (0.5, 0.5), 12, 12),
        ("12", True, (0.5, 1.0), 20 / 3, 11),  # of 10 frames, 3 and 4 are a tenth of their segments from the turn
        ("1232", True, (0.25,) * 4, 13, 14),
        ("121", False, (1.0, 1.0, 1.0), 6.5, 15),
        ("123", True, (1.0, 1.0, 1.0), 13 / 3, 13),
        ("11", True, (0.5, 0.5), 13, 13),
    ],
)
@pytest.mark.parametrize("curve", ["linear", "slerp"])
def test_a_path_that_turns_back_repeats_no_frame(seeds, loop, seconds, fps, frames, curve):
    path = path_of([Recipe.of_seed(int(seed)) for seed in seeds], curve, loop, seconds)
    assert path.num_frames(fps) == frames == len(path.times(fps))
    steps = path.frame_w_plus(SOURCE, fps).diff(dim=0).flatten(1).norm(dim=1)
    assert seeds == "11" or steps.min() > 1e-3


def test_frames_asked_for_alone_are_the_same():
    path = path_of(RICH, "slerp", True)
    whole = path.frame_w_plus(SOURCE, 10)
    alone = torch.cat([path.frame_w_plus(SOURCE, 10, [i]) for i in range(path.num_frames(10))])
    assert torch.allclose(whole, alone, atol=1e-6)


def test_slerp_stays_on_the_sphere_and_turns_evenly():
    a, b = seed_z(1, 512), seed_z(2, 512)
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    points = slerp(a, b, np.linspace(0, 1, 11)[:, None])
    assert np.allclose(points[0], a) and np.allclose(points[-1], b)
    assert np.allclose(np.linalg.norm(points, axis=1), 1)
    assert np.ptp(np.linalg.norm(np.diff(points, axis=0), axis=1)) < 1e-12
    for other in (a, -a, 2 * a):
        assert np.allclose(slerp(a, other, np.array([[0.0], [1.0]])), np.concatenate([a, other]))
        assert np.isfinite(slerp(a, other, np.array([[0.5]]))).all()


@pytest.mark.parametrize(
    "start, end",
    [
        (((1, 1.0),), ((2, 1.0),)),
        (((1, 0.6), (2, 0.4)), ((1, 0.6), (2, 0.4))),
        (((1, 0.6), (2, 0.4)), ((2, 0.5), (3, 0.5))),
        (((1, 1.5), (2, -0.5)), ((1, 0.5), (2, 0.5))),
        (((1, 2.0), (2, -1.0)), ((1, 1.0), (3, 1.0), (4, -1.0))),
        (((1, 0.5), (1, 0.5)), ((1, 1.0),)),
        (((1, 1.0), (2, 1.0), (3, -1.0)), ((1, 1.0), (4, 1.0), (5, -1.0))),
    ],
)
def test_the_shares_of_both_ends_add_up(start, end):
    arcs = coupling(start, end)
    for side, blend in ((0, start), (1, end)):
        for seed in {seed for seed, _ in blend}:
            want = sum(weight for other, weight in blend if other == seed)
            assert sum(weight for pair, weight in arcs.items() if pair[side] == seed) == pytest.approx(want)
    if start == end:
        assert all(a == b for a, b in arcs), "equal blends do not move"
    assert max(map(abs, arcs.values())) <= 6


def test_slerp_goes_through_z_and_a_saved_w_plus_through_w():
    path = path_of([Recipe.of_seed(1), Recipe.of_seed(2), Recipe(base="p")], "slerp", False, (1.0, 1.0, 1.0))
    middle = PathWalker(path, SOURCE).w_plus(np.array([0.5, 1.5]))
    z = slerp(seed_z(1, Z), seed_z(2, Z), np.array([[0.5]]))
    assert torch.allclose(middle[0], SOURCE.mapping(z).expand(LAYERS, W), atol=1e-6)
    ends = SOURCE.w_plus([Recipe.of_seed(2), Recipe(base="p")])
    assert torch.allclose(middle[1], ends.mean(0), atol=1e-6)


def test_slerp_truncates_each_style_input_by_its_own_changing_psi():
    ends = [Recipe.of_seed(1, psi=0.0, cutoff=1), Recipe.of_seed(1, psi=0.5)]
    middle = PathWalker(path_of(ends, "slerp", False), SOURCE).w_plus(np.array([0.25]))[0]
    w = SOURCE.mapping(seed_z(1, Z))[0]
    for layer, psi in enumerate([0.25, 0.75, 0.75, 0.75]):
        assert torch.allclose(middle[layer], SOURCE.w_avg + psi * (w - SOURCE.w_avg), atol=1e-6)
    plain = Source(replace(SOURCE.spec, truncatable=False))
    assert torch.allclose(PathWalker(path_of(ends, "slerp", False), plain).w_plus(np.array([0.25]))[0], w, atol=1e-6)


def test_a_noise_loop_stays_round_its_keyframe():
    path = LatentPath((Keyframe(Recipe.of_seed(1), 2.0),), "noise", radius=0.4, swings=3, seed=5)
    frames = path.frame_w_plus(SOURCE, 24)
    assert len(frames) == 48 and torch.allclose(PathWalker(path, SOURCE).w_plus(np.array([2.0]))[0], frames[0])
    far = replace(path, radius=1.2).frame_w_plus(SOURCE, 24)
    centre = SOURCE.w_plus([Recipe.of_seed(1)])
    assert 0 < (frames - centre).abs().mean() < (far - centre).abs().mean()
    assert torch.allclose(replace(path, radius=0.0).frame_w_plus(SOURCE, 24), centre, atol=1e-6)
    assert not torch.allclose(replace(path, seed=6).frame_w_plus(SOURCE, 24), frames)
    noise = wander(np.linspace(0, 1, 4001)[:-1], 64, swings=3, seed=1)
    assert abs(noise.std() - 1) < 0.2 and np.allclose(wander(np.array([0.0]), 64, swings=3, seed=1)[0], noise[0])


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_a_circle_closes_and_meets_its_points(count):
    points = np.concatenate([seed_z(seed, 64) for seed in range(count)])
    curve = circle(points, np.linspace(0, count, 50 * count + 1))
    assert np.allclose(curve[::50], np.concatenate([points, points[:1]]), atol=1e-9)
    steps = np.linalg.norm(np.diff(curve, axis=0), axis=1)
    assert steps.min() > 0 and abs(steps[0] - steps[-1]) < (0.75 if count == 2 else 0.2) * steps.max()
    if count < 3:
        unit = curve / np.linalg.norm(curve, axis=1, keepdims=True)
        assert np.linalg.matrix_rank(unit, tol=1e-6) == 2 and np.abs(unit.mean(0)).max() < 0.15, "all the way round"
    weights = circle_weights(count, np.linspace(0, count, 31))
    assert np.allclose(weights.sum(1), 1)


def test_easing_slows_the_ends_and_meets_the_keyframes():
    share = np.linspace(0, 1, 101)
    for kind in EASINGS:
        eased = ease(kind, share)
        assert eased[0] == 0 and eased[-1] == 1 and np.diff(eased).min() > 0
    assert ease("in", share)[10] < 0.1 < ease("out", share)[10]
    assert ease("in-out", share)[10] < 0.1 and ease("in-out", share)[50] == pytest.approx(0.5)
    keyframes = (Keyframe(Recipe.of_seed(1), 1.0, "in"), Keyframe(Recipe.of_seed(2), 1.0))
    weights = LatentPath(keyframes, "linear").weights(np.array([0.5, 1.0, 1.5]))
    assert np.allclose(weights[:, 1], [0.25, 1.0, 0.5])


@pytest.mark.parametrize("curve", CURVES)
def test_locked_styles_stay_those_of_the_first_keyframe(curve):
    path = replace(path_of([Recipe.of_seed(seed) for seed in (1, 2, 3)], curve, True), moving="middle+fine")
    frames = path.frame_w_plus(SOURCE, 8)
    moves = path.moving_styles(LAYERS)
    assert moves.any() and not moves.all()
    first = SOURCE.w_plus([Recipe.of_seed(1)])
    assert torch.allclose(frames[:, ~moves], first[:, ~moves].expand(len(frames), -1, -1))
    assert (frames[:, moves].std(0) > 0).all()


def test_sweeps_move_one_thing():
    recipe = Recipe.of_seed(4, label=1, edits=(Edit("a", 1.0), Edit("b", 2.0)))
    assert [each.recipe.psi for each in psi_path(recipe, [0.2, 1.0]).keyframes] == [0.2, 1.0]
    assert [each.recipe.label for each in class_path(recipe, [0, 2, 1]).keyframes] == [0, 2, 1]
    swept = direction_path(recipe, "a", [-2, 2], first=1, last=2)
    assert swept.keyframes[0].recipe.edits == (Edit("b", 2.0), Edit("a", -2.0, 1, 2))
    with pytest.raises(InputError):
        psi_path(recipe, [0.5])


def test_a_path_survives_json_and_refuses_oddities():
    path = path_of(RICH, "slerp", False)
    assert LatentPath.from_dict(path.to_dict()) == path and hash(path)
    good = path.to_dict()
    keyframe = good["keyframes"][0]
    for change in (
        {"keyframes": good["keyframes"][:1]},
        {"keyframes": 3},
        {"keyframes": [3, 4]},
        {"keyframes": [keyframe, {**keyframe, "seconds": float("nan")}]},
        {"keyframes": [keyframe, {**keyframe, "seconds": 0}]},
        {"keyframes": [keyframe, {**keyframe, "seconds": "2"}]},
        {"keyframes": [keyframe, {**keyframe, "seconds": True}]},
        {"keyframes": [keyframe, {**keyframe, "recipe": {"seeds": [[-1, 1]]}}]},
        {"curve": "bezier"},
        {"loop": "yes"},
        {"speed": 3},
        {"moving": "hands"},
        {"moving": ["fine"]},
        {"radius": 2.0},
        {"radius": float("nan")},
        {"swings": 1.5},
        {"seed": -1},
        {"curve": "circle"},
        {"keyframes": [keyframe, {**keyframe, "easing": "bounce"}]},
    ):
        with pytest.raises(InputError) as caught:
            LatentPath.from_dict({**good, **change})
        assert caught.value.hint
