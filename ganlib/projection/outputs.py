"""The files of one projection: pictures, the latent in NVIDIA's form, the film, and what is kept beside the model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganlib.base.errors import GanlibError
from ganlib.latents.recipes import Recipe, embed_text
from ganlib.media import images
from ganlib.models import checkpoints, rights
from ganlib.models.checkpoints import Checkpoint
from ganlib.networks.base import Generator
from ganlib.render.renderer import load_w_plus
from ganlib.runs import OnlyStops, Reporter, free_name, write_bytes
from ganlib.video import write_film

FPS = 24
FILM_FRAMES = 144  # of the search at most
TUNING_FRAMES = 24
HOLD_FRAMES = 24  # the last picture, at the end
LEAST_FILM_SIDE = 256  # smaller pictures are enlarged by a whole number
_BATCH = 8


def safe_stem(name: str) -> str:
    """A file's stem as a name for folders and latents: letters, digits, '-' and '_', 40 at most."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:40] or "picture"


def write_picture(path: Path, pixels: np.ndarray, recipe: Recipe | None, card: Checkpoint) -> Path:
    """Write uint8 `[R, R, 3]` as PNG, with the recipe inside where there is one."""
    text = None
    if recipe is not None:
        text = embed_text(recipe, digest=card.digest, model=card.name, licence=card.licence)
    write_bytes(path, images.encode(pixels, "png", recipe=text, mark_ai=recipe is not None))
    return path


def latent_bytes(w_plus: Tensor) -> bytes:
    """The bytes of an .npz with the array `w`, float32 `[1, num_ws, w_dim]`, of w_plus `[num_ws, w_dim]`."""
    out = BytesIO()
    np.savez(out, w=w_plus[None].detach().cpu().contiguous().numpy().astype(np.float32))
    return out.getvalue()


def keep_latent(folder: Path, name: str, w_plus: Tensor, card: Checkpoint) -> str:
    """Write w_plus `[num_ws, w_dim]` to `folder/w_plus/NAME.npz`, so that `Recipe(base=NAME)` is its picture.

    Returns the name: where another latent has it, a number is added, and nothing is overwritten."""

    def path_of(name: str) -> Path:
        return folder / "w_plus" / f"{name}.npz"

    free = free_name(name, lambda name: path_of(name).exists() and not _is_latent(path_of(name), w_plus, card))
    if not (path := path_of(free)).exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, latent_bytes(w_plus))
    return free


def _is_latent(path: Path, w_plus: Tensor, card: Checkpoint) -> bool:
    try:
        return torch.equal(load_w_plus(path, card.spec)[0], w_plus.detach().cpu())
    except GanlibError:
        return False


def save_tuned(path: Path, generator: Generator, card: Checkpoint, picture: str) -> Checkpoint:
    """Write a tuned generator as a model whose parent is `card`, and return its own card.

    Where `path` is another model's, a number is added to the name; the same model is not written twice."""
    licence = card.licence or rights.UNKNOWN.id
    state = {f"G_ema.{name}": tensor for name, tensor in generator.state_dict().items()}
    digest = checkpoints.model_digest(checkpoints.tensors_digest(state), generator.spec)

    def is_another(stem: str) -> bool:
        there = path.with_stem(stem)
        return there.exists() and checkpoints.read_card(there).digest != digest

    free = path.with_stem(free_name(path.stem, is_another))
    if free.exists():
        return checkpoints.read_card(free)
    free.parent.mkdir(parents=True, exist_ok=True)
    return checkpoints.save_snapshot(
        free, G_ema=generator, kimg=card.kimg, title=f"{card.title}, tuned to {picture}",
        source=f"tuned by Latent Atelier from {card.title} to one picture (pivotal tuning)",
        licence=licence, data="; ".join(filter(None, [card.data, f"and the picture {picture}"])),
        parents=[{"title": card.title, "digest": card.digest, "licence": licence}],
        classes=card.classes,
    )  # fmt: skip


# ---- The film ------------------------------------------------------------------------------------------------------


def render_way(generator: Generator, way: Sequence[Tensor], mode: str) -> Iterator[np.ndarray]:
    """Yield uint8 `[n, R, R, 3]` for w_plus on the way, `[1 or num_ws, w_dim]` each."""
    for start in range(0, len(way), _BATCH):
        w = torch.stack(list(way[start : start + _BATCH])).expand(-1, generator.spec.num_ws, -1)
        with torch.no_grad():
            yield images.to_pixels(generator.synthesis(w.to(generator.w_avg.device), noise_mode=mode))


def write_way(path: Path, target: np.ndarray, pictures: Iterator[np.ndarray], count: int, reporter: Reporter) -> Path:
    """Write the film: target on the left, the picture of the moment on the right; it ends with a still second.

    `target` uint8 `[R, R, 3]`; `pictures` in batches, `count` in all."""
    side = target.shape[0]
    factor = max(1, -(-LEAST_FILM_SIDE // side))
    film_side = side * factor + side * factor % 2

    def frames() -> Iterator[np.ndarray]:
        left = images.resize(target, film_side, film_side, smooth=False)[None]
        last = left
        for pixels in pictures:
            right = images.resize(pixels, film_side, film_side, smooth=False)
            joined = np.concatenate([np.repeat(left, len(right), axis=0), right], axis=2)
            last = joined[-1:]
            yield joined
        yield np.repeat(last, HOLD_FRAMES, axis=0)

    return write_film(
        path, frames(), (2 * film_side, film_side), fps=FPS, num_frames=count + HOLD_FRAMES, palette=lambda: [],
        reporter=OnlyStops(reporter), loop=False, title="projection",
    )  # fmt: skip
