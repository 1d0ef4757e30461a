"""A short looped film of a piece: it begins and ends with the picture itself, which is its poster."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from ganlib.latents.paths import Keyframe, LatentPath
from ganlib.latents.recipes import MAX_SEEDS_BLENDED, Recipe
from ganlib.nft.config import NftConfig
from ganlib.render.renderer import Renderer
from ganlib.runs import OnlyStops, Reporter
from ganlib.video import RenderJob, render_video

CRF = 14
_STOPS = 3


def film_path(recipe: Recipe, seconds: float, reach: float) -> LatentPath:
    """Return a loop from a picture part of the way to two others, chosen by the recipe itself, and back.

    A saved latent has no seeds to blend: its loop goes towards the average picture.
    """
    if recipe.base is None and len(recipe.seeds) < MAX_SEEDS_BLENDED and reach > 0:
        stops = [recipe]
        for i in range(1, _STOPS):
            digest = sha256(f"{recipe.to_json()} {i}".encode()).digest()
            other = int.from_bytes(digest[:4], "big")
            own = zip((seed for seed, _ in recipe.seeds), recipe.blend_weights, strict=True)
            blend = tuple((seed, weight * (1 - reach)) for seed, weight in own)
            stops.append(replace(recipe, seeds=(*blend, (other, reach))))
    else:
        stops = [recipe, replace(recipe, psi=round(recipe.psi * (1 - reach), 6))]
    return LatentPath(tuple(Keyframe(stop, seconds / len(stops)) for stop in stops), "cubic", True)


def film_of(config: NftConfig, recipe: Recipe) -> RenderJob:
    """Return the film of a piece."""
    path = film_path(recipe, config.seconds, config.reach)
    return RenderJob(str(config.network), path, fps=config.fps, size=config.size, format="mp4", crf=CRF)


def write_film(config: NftConfig, recipe: Recipe, dest: Path, renderer: Renderer, reporter: Reporter) -> Path:
    """Render the film of a piece to `dest`. Raises as `render_video`."""
    return render_video(film_of(config, recipe), dest, renderer=renderer, reporter=OnlyStops(reporter))
