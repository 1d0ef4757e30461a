"""Traits of pieces from what was seen of them, their rarity, and whether wanted shares are met."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ganlib.latents.recipes import Recipe
from ganlib.media.colours import WORDS
from ganlib.models.checkpoints import Checkpoint
from ganlib.render.directions import eigen_directions

if TYPE_CHECKING:
    from ganlib.nft.candidates import CandidateFeatures
    from ganlib.nft.config import NftConfig

Traits = dict[str, str]
"""Trait → value, in a fixed order."""
COLOUR_TRAITS = ("Main colour", "Second colour", "Third colour")
AXES = 2
_BANDS = ((0.1, "lowest tenth"), (0.3, "low"), (0.7, "middle"), (0.9, "high"), (1.0, "highest tenth"))
_STRENGTHS = ((-1.5, "very low"), (-0.5, "low"), (0.5, "middle"), (1.5, "high"), (math.inf, "very high"))
_PSI = ((0.5, "calm"), (0.8, "balanced"), (1.0, "free"), (math.inf, "wild"))
_MET = 0.02  # a share within two hundredths of the wanted one, or one piece of it, is met


@dataclass(frozen=True)
class Pieces:
    """What traits are read off."""

    config: NftConfig
    card: Checkpoint
    titles: Sequence[str]
    """Of the directions in `look.strengths`."""
    recipes: Sequence[Recipe]
    look: CandidateFeatures


@dataclass(frozen=True)
class TraitKind:
    """A kind of traits."""

    title: str
    """For people."""
    one: str
    """What tells its trait from another of the same name."""
    columns: Callable[[Pieces], Iterable[tuple[str, list[str]]]]
    """Pieces → traits, each with the value of every piece."""


def _palette(pieces: Pieces) -> Iterable[tuple[str, list[str]]]:
    for k, trait in enumerate(COLOUR_TRAITS):
        yield trait, [WORDS[place] if place >= 0 else "none" for place in pieces.look.colours[:, k]]


def _cluster(pieces: Pieces) -> Iterable[tuple[str, list[str]]]:
    yield "Cluster", _clusters(pieces.config, pieces.look.w)


def _axes(pieces: Pieces) -> Iterable[tuple[str, list[str]]]:
    for k, places in enumerate(_percentiles(pieces.look.w)):
        yield f"Axis {k + 1}", [_band(_BANDS, place) for place in places]


def _variation(pieces: Pieces) -> Iterable[tuple[str, list[str]]]:
    if pieces.card.spec.truncatable:
        yield "Variation", [_band(_PSI, recipe.psi) for recipe in pieces.recipes]


def _directions(pieces: Pieces) -> Iterable[tuple[str, list[str]]]:
    for k, title in enumerate(pieces.titles):
        yield title, [_band(_STRENGTHS, float(value)) for value in pieces.look.strengths[:, k]]


def _class(pieces: Pieces) -> Iterable[tuple[str, list[str]]]:
    card = pieces.card
    if card.spec.label_dim:
        yield "Class", ["any" if each.label is None else card.class_name(each.label) for each in pieces.recipes]


TRAITS: dict[str, TraitKind] = {
    "palette": TraitKind("main colours", "colour", _palette),
    "cluster": TraitKind("group", "group", _cluster),
    "pca": TraitKind("place in the model", "place", _axes),
    "psi": TraitKind("how unusual", "variation", _variation),
    "directions": TraitKind("named directions", "direction", _directions),
    "class": TraitKind("kind", "class", _class),
}
"""The kinds of traits by name, in the order that a piece has them."""


def traits_of(
    config: NftConfig, card: Checkpoint, titles: Sequence[str], recipes: Sequence[Recipe], look: CandidateFeatures
) -> list[Traits]:
    """Return the traits of all pieces of a collection; `titles` are those of the directions in `look.strengths`.

    Clusters and percentiles are of this collection, so a piece's traits depend on the others.
    """
    pieces, columns = Pieces(config, card, titles, recipes, look), dict[str, list[str]]()
    for key, row in TRAITS.items():
        for trait, column in row.columns(pieces) if key in config.traits else ():
            columns[trait if trait not in columns else f"{trait} ({row.one})"] = column
    return [{trait: column[i] for trait, column in columns.items()} for i in range(len(recipes))]


def _band(bands: Sequence[tuple[float, str]], value: float) -> str:
    return next((word for end, word in bands if value <= end), bands[-1][1])


def _clusters(config: NftConfig, w: np.ndarray) -> list[str]:
    """Names of the clusters of w, A for the largest."""
    from sklearn.cluster import KMeans

    groups = min(config.clusters, len(np.unique(w, axis=0)))
    found = KMeans(groups, n_init=4, random_state=0).fit(w.astype(np.float64)).labels_
    order = np.argsort(-np.bincount(found, minlength=groups), kind="stable")
    names = {}
    for place, k in enumerate(order.tolist()):
        letter = chr(ord("A") + place) if place < 26 else f"A{chr(ord('A') + place - 26)}"
        names[k] = config.cluster_names[place] if place < len(config.cluster_names) else letter
    return [names[int(k)] for k in found]


def _percentiles(w: np.ndarray) -> np.ndarray:
    """Rank of each piece along the collection's principal axes of w, `[AXES, N]`, over 0 to 1."""
    centred = torch.from_numpy(w).double()
    centred = centred - centred.mean(dim=0)
    axes = eigen_directions(centred.T @ centred / max(1, len(w)), AXES)[1]
    along = (centred @ axes.T).T.numpy()
    ranks = np.argsort(np.argsort(along, axis=1, kind="stable"), axis=1, kind="stable")
    return (ranks + 0.5) / len(w)


# --- rarity -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TraitShare:
    """How often a value of a trait occurs."""

    trait: str
    value: str
    pieces: int
    share: float
    """Of the collection, 0 to 1."""
    wanted: float | None = None
    """The share asked for; None where none was."""
    is_met: bool | None = None
    """Whether the share is the one asked for, within 0.02 or one piece."""


@dataclass(frozen=True)
class Rarity:
    """The rarity of a collection."""

    table: tuple[TraitShare, ...]
    """Every value of every trait, the commonest first; then targets that no piece has."""
    scores: tuple[float, ...]
    """Of each piece, in bits: how unlikely its values are together if traits were independent."""
    ranks: tuple[int, ...]
    """1 for the rarest; among equals the lower number comes first."""


def rarity_of(traits: Sequence[Mapping[str, str]], targets: Sequence[tuple[str, str, float]] = ()) -> Rarity:
    """Return the rarity of pieces by statistical rarity: minus the logarithm, base 2, of the product of the shares of
    each (trait, value). The same word in two traits is two values; a trait that a piece lacks is the value `none`."""
    count = len(traits)
    names = list(dict.fromkeys(trait for piece in traits for trait in piece))
    counts = {trait: Counter(piece.get(trait, "none") for piece in traits) for trait in names}
    wanted = {(trait.lower(), value.lower()): share for trait, value, share in targets}
    rows = []
    for trait in names:
        for value, pieces in sorted(counts[trait].items(), key=lambda item: (-item[1], item[0])):
            rows.append(_row(trait, value, pieces, count, wanted.pop((trait.lower(), value.lower()), None)))
    left = [(trait, value, share) for trait, value, share in targets if (trait.lower(), value.lower()) in wanted]
    rows += [_row(trait, value, 0, count, share) for trait, value, share in left]
    bits = {(trait, value): -math.log2(n / count) for trait in names for value, n in counts[trait].items()}
    scores = [round(math.fsum(bits[trait, piece.get(trait, "none")] for trait in names), 6) for piece in traits]
    ranks = [0] * count
    for rank, i in enumerate(sorted(range(count), key=lambda i: (-scores[i], i)), start=1):
        ranks[i] = rank
    return Rarity(tuple(rows), tuple(scores), tuple(ranks))


def _row(trait: str, value: str, pieces: int, count: int, wanted: float | None) -> TraitShare:
    share = pieces / count if count else 0.0
    met = None if wanted is None else abs(share - wanted) <= max(_MET, 1 / max(1, count)) + 1e-9
    return TraitShare(trait, value, pieces, round(share, 6), wanted, met)
