"""What is seen of each candidate, block by block, and which candidates become pieces."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from io import BytesIO
from pathlib import Path

import numpy as np

from ganlib.base.errors import InputError
from ganlib.base.filesystem import open_regular
from ganlib.features.extractors import FeatureExtractor, open_extractor
from ganlib.latents.editing import FOLDER, SUFFIX, Direction, list_directions
from ganlib.latents.recipes import Recipe
from ganlib.media import images
from ganlib.media.colours import main_colours
from ganlib.models.checkpoints import Checkpoint, read_card
from ganlib.nft.cid import sha256_of
from ganlib.nft.config import NftConfig
from ganlib.render.renderer import Renderer
from ganlib.runs import write_bytes

BLOCK = 32
"""Candidates that are drawn together: always the same ones, so that the same options give the same bytes."""
COLOURS = 3


@dataclass(frozen=True, eq=False)
class CandidateFeatures:
    """What was seen of some candidates, in order."""

    colours: np.ndarray
    """Places in `WORDS` of their main colours, `[N, 3]` int64; -1 for none."""
    w: np.ndarray
    """Mean of w_plus over style inputs, `[N, w_dim]` float32."""
    strengths: np.ndarray
    """Sigmas along each direction, `[N, D]` float32."""
    features: np.ndarray
    """`[N, F]` float32; F is 0 where likeness is not asked for."""
    digests: np.ndarray
    """sha256 of the pixels, `[N, 32]` uint8."""

    def __len__(self) -> int:
        return len(self.w)

    def __getitem__(self, idx: int | Sequence[int]) -> CandidateFeatures:
        """The same of some of them."""
        rows = [idx] if isinstance(idx, int) else list(idx)
        return CandidateFeatures(**{item.name: getattr(self, item.name)[rows] for item in fields(self)})

    @staticmethod
    def join(looks: Sequence[CandidateFeatures]) -> CandidateFeatures:
        """Return what was seen of all."""
        names = [item.name for item in fields(CandidateFeatures)]
        return CandidateFeatures(**{name: np.concatenate([getattr(look, name) for look in looks]) for name in names})

    def save(self, path: Path) -> None:
        """Write to a file that is whole or absent."""
        buffer = BytesIO()
        np.savez(buffer, **{item.name: getattr(self, item.name) for item in fields(self)})
        write_bytes(path, buffer.getvalue(), durable=False)

    @staticmethod
    def load(path: Path) -> CandidateFeatures | None:
        """Return what `save` wrote; None where there is no such file, or a damaged one."""
        try:
            with open_regular(path) as stream, np.load(stream, allow_pickle=False) as arrays:
                return CandidateFeatures(**{item.name: arrays[item.name] for item in fields(CandidateFeatures)})
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None


class Viewer:
    """Draws candidates and looks at them."""

    def __init__(self, config: NftConfig, card: Checkpoint, renderer: Renderer) -> None:
        self.config, self.card, self.renderer = config, card, renderer
        self.directions = titled_directions(card) if "directions" in config.traits else []
        self.extractor: FeatureExtractor | None = None
        if config.floor > 0:
            self.extractor = open_extractor(config.features, device=renderer.device)

    @classmethod
    def open(cls, config: NftConfig, renderer: Renderer | None = None) -> Viewer:
        """Load the model, or look with a `renderer` of it that is open already."""
        card = read_card(config.network)
        return cls(config, card, renderer or Renderer.open(config.network, device=config.device))

    def fresh(self) -> Renderer:
        """Return a renderer of the model that remembers nothing. A w that is remembered was mapped beside other seeds,
        and may differ in its last bit: enough for another grey level, and so for other bytes after a resume."""
        card = self.card
        return Renderer(
            self.renderer.generator, digest=card.digest, name=card.name, licence=card.licence, folder=card.folder
        )

    def files_used(self, recipes: Sequence[Recipe]) -> dict[str, str]:
        """Return the sha256 of each file beside the model that decides a picture: directions and saved latents."""
        folder = self.card.folder
        paths = {folder / FOLDER / f"{edit.direction}{SUFFIX}" for recipe in recipes for edit in recipe.edits}
        paths |= {folder / "w_plus" / f"{recipe.base}.npz" for recipe in recipes if recipe.base is not None}
        found = sorted(path for path in paths if path.is_file())
        return {f"{path.parent.name}/{path.name}": sha256_of(path) for path in found}

    def candidates(self) -> list[Recipe]:
        """Return the recipes to choose from. Raises `InputError` for those that this model cannot draw."""
        spec, found = self.card.spec, self.config.candidates(self.card.folder)
        if self.config.label is not None and not 0 <= self.config.label < spec.label_dim:
            hint = f"it has classes 0 … {spec.label_dim - 1}" if spec.label_dim else "leave --class out"
            raise InputError(f"this model has no class {self.config.label}", hint)
        return found

    def look(self, recipes: Sequence[Recipe]) -> tuple[CandidateFeatures, np.ndarray]:
        """Return what is seen of recipes, and their pictures uint8 `[N, side, side, 3]` at the size asked for."""
        renderer = self.fresh()
        pixels = renderer.render(recipes)
        w_plus = renderer.w_plus(recipes).cpu().double()
        offset = w_plus - renderer.w_avg.cpu().double()
        strengths = []
        for direction in self.directions:
            last = offset.shape[1] - 1 if direction.last is None else direction.last
            part = offset[:, direction.first : last + 1]
            vector = direction.vector.double()
            vector = vector.expand(part.shape[1:]) if vector.ndim == 1 else vector[direction.first : last + 1]
            strengths.append((part * vector).sum(dim=(1, 2)).div(vector.square().sum()).numpy())
        features = self.extractor(pixels) if self.extractor else np.zeros((len(recipes), 0), np.float32)
        digests = [hashlib.sha256(picture.tobytes()).digest() for picture in pixels]
        seen = CandidateFeatures(
            np.array([main_colours(picture, COLOURS) for picture in pixels], np.int64).reshape(-1, COLOURS),
            w_plus.mean(dim=1).float().numpy(),
            np.stack(strengths, axis=1).astype(np.float32) if strengths else np.zeros((len(recipes), 0), np.float32),
            features,
            np.array([list(digest) for digest in digests], np.uint8).reshape(-1, 32),
        )
        if self.config.size is not None:
            pixels = images.resize(pixels, self.config.size, self.config.size)
        return seen, pixels


def titled_directions(card: Checkpoint) -> list[Direction]:
    """Return the directions of a model that a person has given a title and that fit it, by name."""
    return [d for d in list_directions(card.folder)[0] if d.title and d.suits(card.spec)]


class Chooser:
    """Takes candidates in their order, and leaves out those that are too like one that was taken."""

    def __init__(self, config: NftConfig) -> None:
        self.config = config
        self.taken: list[int] = []
        """Indices of the candidates that are pieces, in order."""
        self.near: list[tuple[int, int, float]] = []
        """(candidate, the piece that it is too like, their distance as a share of the usual one)."""
        self.copies = 0
        """Candidates whose pixels are those of a piece."""
        self.looked = 0
        """Candidates seen so far."""
        self.usual = 0.0
        """The usual distance: the median over pairs of the first block."""
        self._kept: list[CandidateFeatures] = []
        self._digests: set[bytes] = set()

    @property
    def is_full(self) -> bool:
        """Whether there are as many pieces as were asked for."""
        return self.config.count is not None and len(self.taken) >= self.config.count

    def add(self, look: CandidateFeatures) -> None:
        """Go through the next block of candidates."""
        features = look.features.astype(np.float64)
        if self.looked == 0 and self.config.floor > 0 and len(look) > 1:
            gaps = _distances(features, features)
            self.usual = float(np.median(gaps[np.triu_indices(len(gaps), 1)]))
        least = self.config.floor * self.usual
        gaps, nearest = self._nearest(features) if least > 0 else (np.zeros(0), np.zeros(0, np.int64))
        chosen: list[int] = []
        for i in range(len(look)):
            if self.is_full:
                break
            self.looked += 1
            digest = look.digests[i].tobytes()
            if digest in self._digests:
                self.copies += 1
                continue
            if least > 0:
                gap, piece = float(gaps[i]), int(nearest[i])
                for k, own in enumerate(_distances(features[i : i + 1], features[chosen])[0].tolist()):
                    if own < gap:
                        gap, piece = own, len(self.taken) - len(chosen) + k
                if gap < least:
                    self.near.append((self.looked - 1, self.taken[piece], gap / self.usual))
                    continue
            self._digests.add(digest)
            chosen.append(i)
            self.taken.append(self.looked - 1)
        self._kept.append(look[chosen])

    def _nearest(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distance to the nearest piece so far, `[N]`, and its place among them; a block of pieces at a time."""
        least, who, first = np.full(len(features), np.inf), np.zeros(len(features), np.int64), 0
        for kept in self._kept:
            if len(kept):
                gaps = _distances(features, kept.features.astype(np.float64))
                closer = gaps.min(axis=1) < least
                least[closer], who[closer] = gaps.min(axis=1)[closer], first + gaps.argmin(axis=1)[closer]
            first += len(kept)
        return least, who

    def seen(self) -> CandidateFeatures:
        """Return what was seen of the pieces, without features."""
        return CandidateFeatures.join([replace(look, features=look.features[:, :0]) for look in self._kept])

    def check(self, candidates: int) -> None:
        """Raise `InputError` where there are fewer pieces than asked for, or none."""
        wanted = self.config.count
        if self.taken and (wanted is None or len(self.taken) >= wanted):
            return
        message = f"{len(self.taken)} pieces where {wanted or 'some'} were asked for: of {candidates} candidates "
        message += f"{len(self.near)} are too like another and {self.copies} are copies"
        hint = f"lower --floor (now {self.config.floor:g}), name more seeds, or ask for --count {len(self.taken)}"
        raise InputError(message, hint)


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distances `[N, M]` of rows, float64."""
    squares = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * a @ b.T
    return np.sqrt(np.maximum(squares, 0))
