"""Two models become one: their weights averaged, or the layers of one below a resolution and of the other above it.

Layer swapping is "Resolution Dependent GAN Interpolation for Controllable Image Synthesis Between Domains", Pinkney &
Adler 2020 (arXiv 2010.05334). Both ways need two models of one lineage, such as a model and what was trained on from
it: the average of unrelated models draws nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganlib import networks
from ganlib.base.errors import CheckpointError, InputError
from ganlib.models import checkpoints, rights
from ganlib.models.checkpoints import Checkpoint, load_generator, read_card, save_snapshot
from ganlib.networks.base import Generator, GeneratorSpec

KIN = 0.5
"""Models whose weights are less alike than this are told to be hardly related; see `kinship`."""
# Hyper-parameters that change no picture of equal tensors: widths are in the shapes, the rest is the discriminator's,
# or is about half precision.
_LOOSE = {"D", "channel_base", "channel_max", "channels", "conv_clamp", "num_fp16_res", "ndf", "bn_D"}
_FACTS = ("arch", "resolution", "img_channels", "z_dim", "w_dim", "num_ws", "label_dim")


def blend_sides(spec: GeneratorSpec) -> tuple[int, ...]:
    """Return the sides in pixels that the family's layers work at, from the smallest; empty where layers have none."""
    tensor_side = networks.architecture(spec.arch).tensor_side
    with torch.device("meta"):
        names = networks.build_generator(spec).state_dict()
    return tuple(sorted({side for name in names if (side := tensor_side(name)) is not None}))


def shares_by_side(
    sides: tuple[int, ...],
    *,
    amount: float | None = None,
    swap_at: int | None = None,
    smooth: float = 0.0,
    amounts: Mapping[int, float] | None = None,
) -> tuple[float, dict[int, float]]:
    """Return the second model's share, 0 … 1, of what serves all sides (mapping, centre), and of the layers by side.

    Without `swap_at` that is `amount` (None is 0.5) everywhere. With it, 0 up to that side and `amount` (None is 1)
    above; `smooth` spreads the step over so many doublings of the side. `amounts` sets single sides. Raises
    `InputError` for sides that there are not, and numbers outside their range."""
    whole = amount if amount is not None else 0.5 if swap_at is None else 1.0
    for value in (whole, *(amounts or {}).values()):
        if not 0.0 <= value <= 1.0:
            raise InputError(f"an amount of {value:g} is outside 0 … 1", "0 is the first model, 1 the second")
    if not 0.0 <= smooth <= 10.0 or (smooth and swap_at is None):
        raise InputError(f"a step over {smooth:g} doublings is not possible", "use 0 … 10, with a side to swap at")
    if (swap_at is not None or amounts) and len(sides) < 2:
        raise InputError("the layers of this model do not differ in resolution", "give an amount for the whole model")
    if swap_at is not None and swap_at not in sides[:-1]:
        raise InputError(f"layers cannot be swapped at {swap_at} px", f"choose one of {_listed(sides[:-1])}")
    if odd := sorted(set(amounts or {}) - set(sides)):
        raise InputError(f"there are no layers of {odd[0]} px", f"there are {_listed(sides)}")
    by_side = {side: whole * (1.0 if swap_at is None else _ramp(side, swap_at, smooth)) for side in sides}
    return (whole if swap_at is None else 0.0), by_side | dict(amounts or {})


def _listed(sides: tuple[int, ...]) -> str:
    return ", ".join(map(str, sides))


def _ramp(side: int, swap_at: int, smooth: float) -> float:
    """0 up to `swap_at`, 1 from twice that; with `smooth`, a line over so many doublings around the middle."""
    beyond = math.log2(side / swap_at) - 0.5  # doublings from the middle of the step
    return min(1.0, max(0.0, 0.5 + beyond / max(smooth, 1.0)))


@torch.no_grad()
def blend_networks(
    G_a: Generator,
    G_b: Generator,
    *,
    amount: float | None = None,
    swap_at: int | None = None,
    smooth: float = 0.0,
    amounts: Mapping[int, float] | None = None,
) -> Generator:
    """Return a new generator on the first one's device, for a preview; no file is touched.

    Arguments as `shares_by_side`; a tensor is lerp(a, b, share). Whole numbers, and with `swap_at` mapping and centre,
    are the first model's. Raises `InputError` where the two are not built alike."""
    check_alike(G_a, G_b)
    sides = blend_sides(G_a.spec)
    rest, by_side = shares_by_side(sides, amount=amount, swap_at=swap_at, smooth=smooth, amounts=amounts)
    tensor_side = networks.architecture(G_a.spec.arch).tensor_side
    second = G_b.state_dict()
    state: dict[str, Tensor] = {}
    for name, first in G_a.state_dict().items():
        side = tensor_side(name)
        share = rest if side is None else by_side[side]
        other = second[name].to(first.device)
        if share == 0.0 or not first.is_floating_point():
            state[name] = first.clone()
        else:
            state[name] = other.clone() if share == 1.0 else torch.lerp(first, other, share)
    device = next(iter(state.values())).device
    with torch.device("meta"):
        G = networks.build_generator(G_a.spec)
    G.load_state_dict(state, strict=True, assign=True)
    return G.to(device).eval().requires_grad_(False)


def differences(a: GeneratorSpec, b: GeneratorSpec) -> list[str]:
    """Return in words what two specs differ in that keeps their models from being blended; widths are not looked at."""
    differing = [f"{name} {getattr(a, name)} and {getattr(b, name)}" for name in _FACTS if _differ(a, b, name)]
    if not differing:
        names = sorted((set(a.params) | set(b.params)) - _LOOSE)
        differing = [f"{n} {a.params.get(n)} and {b.params.get(n)}" for n in names if _plain(a, n) != _plain(b, n)]
    return differing


def check_alike(G_a: Generator, G_b: Generator) -> None:
    """Raise `InputError` that says what differs where two generators are not built alike."""
    differing = differences(G_a.spec, G_b.spec)
    if not differing:
        shapes = [{name: tuple(t.shape) for name, t in G.state_dict().items()} for G in (G_a, G_b)]
        odd = sorted(name for name in shapes[0] | shapes[1] if shapes[0].get(name) != shapes[1].get(name))
        differing = [f"{name} {shapes[0].get(name)} and {shapes[1].get(name)}" for name in odd[:3]]
    if differing:
        raise InputError(
            f"the two models are not built alike: {'; '.join(differing)[:300]}",
            "blend a model with one that was trained on from it, or both from one ancestor",
        )


def _differ(a: GeneratorSpec, b: GeneratorSpec, name: str) -> bool:
    first, second = getattr(a, name), getattr(b, name)
    return bool(first != second)


def _plain(spec: GeneratorSpec, name: str) -> Any:
    value = spec.params.get(name)
    return list(value) if isinstance(value, list | tuple) else value


@torch.no_grad()
def kinship(G_a: Generator, G_b: Generator) -> float:
    """Return how alike the weights of two generators are: the median cosine of their layers' weights, -1 … 1.

    1 is the same model, 0 two that were trained from different seeds. Measured on small models: 0.97 and more between
    snapshots up to 109 kimg apart in one lineage, whose averages draw; 0.3 between two trainings from one start where
    one had diverged, whose average drew nothing. Raises `InputError` as `check_alike`."""
    check_alike(G_a, G_b)
    second = G_b.state_dict()
    cosines = [
        torch.cosine_similarity(first.flatten().double(), second[name].to(first.device).flatten().double(), dim=0)
        for name, first in G_a.state_dict().items()
        if name.endswith("weight") and first.ndim >= 2 and "affine" not in name
    ]
    return float(torch.stack(cosines).median()) if cosines else 1.0


def blend(
    a: Path,
    b: Path,
    dest: Path,
    *,
    amount: float | None = None,
    swap_at: int | None = None,
    smooth: float = 0.0,
    amounts: Mapping[int, float] | None = None,
    title: str = "",
    half: bool = False,
    report: Callable[[str], None] | None = None,
) -> Checkpoint:
    """Write the blend of two checkpoints and return its card, which names its parents, the stricter licence and both
    credits of data. Arguments as `shares_by_side`; `half` as `save_snapshot`.

    The discriminators are left out: neither has judged such pictures. `report` gets a sentence where the two seem
    unrelated, and where a licence forbids to share what is made of a model. Raises `InputError` where the two are not
    built alike or a number is out of range, `CheckpointError` where a file is damaged or `dest` is taken."""
    dest = Path(dest)
    check_dest(dest)
    cards = (read_card(a), read_card(b))
    G_a, G_b = (load_generator(card.path) for card in cards)
    alike = kinship(G_a, G_b)
    tell = report or (lambda text: None)
    if alike < KIN:
        tell(f"the two are hardly related (likeness of their weights {alike:.2f} of 1): the blend may draw nothing")
    G = blend_networks(G_a, G_b, amount=amount, swap_at=swap_at, smooth=smooth, amounts=amounts)
    licence = rights.stricter(*(card.licence for card in cards)) or rights.UNKNOWN.id
    if problem := rights.conflict(*(card.licence for card in cards)):
        tell(problem)
    titles = [card.title for card in cards]
    return save_snapshot(
        dest,
        G_ema=G,
        title=title or " × ".join(titles),
        source=_source(titles, amount, swap_at, smooth, amounts),
        licence=licence,
        data="; ".join(dict.fromkeys(card.data for card in cards if card.data)),
        half=half,
        parents=[{"title": c.title, "digest": c.digest, "licence": c.licence or rights.UNKNOWN.id} for c in cards],
        classes=next((card.classes for card in cards if card.classes), ()),
    )


def check_dest(dest: Path) -> None:
    """Raise `CheckpointError` where a new model cannot have this path."""
    if dest.suffix != checkpoints.SUFFIX:
        raise CheckpointError(f"{dest} is no name of a model", f"give a name that ends in {checkpoints.SUFFIX}")
    if dest.exists():
        raise CheckpointError(f"{dest} exists already", "choose another name, or remove that model first")


def _source(
    titles: list[str], amount: float | None, swap_at: int | None, smooth: float, amounts: Mapping[int, float] | None
) -> str:
    """How the blend was made, in a sentence."""
    if swap_at is None:
        how = f"{100 * (0.5 if amount is None else amount):g} % of the second's weights"
    else:
        share = "" if amount is None else f"{100 * amount:g} % of "
        how = f"layers above {swap_at} px are {share}the second's"
        how += f", over {smooth:g} doublings" if smooth else ""
    if amounts:
        how += "; " + ", ".join(f"{100 * share:g} % at {side} px" for side, share in sorted(amounts.items()))
    return f"blended by Latent Atelier from {titles[0]} and {titles[1]}: {how}"
