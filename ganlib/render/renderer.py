"""One loaded generator: recipes in, uint8 pictures out. Thread-safe, batched, the same picture in any batch."""

from __future__ import annotations

import hashlib
import io
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganlib.base.errors import DataError, InputError
from ganlib.base.filesystem import NotRegularError, TooLargeError, check_regular
from ganlib.compute import device
from ganlib.compute.torch_files import UNREADABLE, load_torch
from ganlib.latents import editing
from ganlib.latents import recipes as latents
from ganlib.latents.recipes import Recipe
from ganlib.media import images
from ganlib.models import checkpoints
from ganlib.networks.base import Generator, GeneratorSpec, one_hot
from ganlib.runs import write_bytes

Place = tuple[tuple[float, float], float]
"""Translation to the right and down in picture widths, and rotation in degrees."""
SLOW_SECONDS = 0.3
"""A picture that takes longer is first shown as a sketch."""
_W_CACHE_SIZE = 4096
_CENTROID_SAMPLES, _CENTROID_BATCH, _CENTROID_SEED = 5000, 1000, 7
_LATENT_NAMES = ("w", "w_plus", "projected_w", "latent", "ws")
_Z_NAMES = ("z", "zs", "projected_z")
_NAMELESS = {"", "arr_0"}
"""What an array is called that was saved without a name: in an .npy or a .pt, and in an .npz."""
_MOST_LATENT_BYTES = 256 * 2**20
_PIXELS_PER_BATCH = {"cpu": 8 * 128 * 128, "cuda": 32 * 512 * 512, "mps": 8 * 512 * 512}


class Renderer:
    """Makes pictures from recipes with one generator.

    A picture is a function of its recipe and the model's digest alone: batch size changes it by at most one grey level.
    """

    def __init__(
        self,
        generator: Generator,
        *,
        digest: str = "",
        name: str = "",
        licence: str = "",
        folder: Path | None = None,
        directions: Mapping[str, Tensor] | None = None,
    ) -> None:
        """`folder`: where saved w_plus (`folder/w_plus/ID.npz`) and directions (`folder/directions/NAME.npz`) lie.
        `directions`: others, name → `[w_dim]` or `[num_ws, w_dim]`, one sigma long."""
        self.generator = generator
        self.spec: GeneratorSpec = generator.spec
        self.digest, self.name, self.licence, self.folder = digest, name, licence, folder
        self._centroids: dict[int, Tensor] = {}
        self._seconds = 0.0
        self._colours: tuple[Tensor, Tensor] | None = None
        self._directions: dict[str, tuple[int, Tensor]] = {name: (0, d) for name, d in (directions or {}).items()}
        self.device = generator.w_avg.device
        self.w_avg = generator.w_avg.detach().float()
        self._lock = threading.RLock()
        self._w_cache: OrderedDict[tuple[int, int | None], Tensor] = OrderedDict()

    @classmethod
    def open(cls, path: Path, *, device: str = "auto") -> Renderer:
        """Load a checkpoint onto a device; raises `CheckpointError` or `DeviceError`."""
        from ganlib.compute.device import choose_device

        card = checkpoints.read_card(path)
        generator = checkpoints.load_generator(path, device=choose_device(device))
        return cls(generator, digest=card.digest, name=card.name, licence=card.licence, folder=card.folder)

    # -- latents ---------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def mapping(self, z: np.ndarray | Tensor, labels: Sequence[int | None] | None = None) -> Tensor:
        """z `[N, z_dim]` and class indices → w `[N, w_dim]` float32 on the renderer's device, not truncated."""
        z = torch.as_tensor(z, dtype=torch.float32).to(self.device)
        label = None
        if self.spec.label_dim:
            label = one_hot(self._checked_labels(labels or [None] * len(z)), self.spec.label_dim).to(self.device)
        with self._lock:
            return self.generator.mapping(z, label)

    def _checked_labels(self, labels: Sequence[int | None]) -> Sequence[int | None]:
        for label in labels:
            if label is not None and not 0 <= label < self.spec.label_dim:
                raise InputError(
                    f"class {label} does not exist", f"this model has classes 0 … {self.spec.label_dim - 1}"
                )
        return labels

    def _w_of_seeds(self, wanted: Sequence[tuple[int, int | None]]) -> dict[tuple[int, int | None], Tensor]:
        """Return w `[w_dim]` of each (seed, label), from the cache or in one call of the mapping network."""
        found = {key: self._w_cache[key] for key in wanted if key in self._w_cache}
        missing = list(dict.fromkeys(key for key in wanted if key not in found))
        if missing:
            z = np.concatenate([latents.seed_z(seed, self.spec.z_dim) for seed, _ in missing])
            for key, w in zip(missing, self.mapping(z, [label for _, label in missing]), strict=True):
                found[key] = self._w_cache[key] = w
            while len(self._w_cache) > max(_W_CACHE_SIZE, len(wanted)):
                self._w_cache.popitem(last=False)
        return found

    def _base(self, recipe: Recipe) -> Tensor:
        """Load the saved w_plus `[num_ws, w_dim]` that a recipe names."""
        assert recipe.base is not None
        if self.folder is None or not latents.NAME.fullmatch(recipe.base):
            raise InputError(f"no saved latent {recipe.base!r}", "project the photograph again, or pick a seed")
        path = self.folder / "w_plus" / f"{recipe.base}.npz"
        return load_w_plus(path, self.spec)[0].to(self.device)

    def centroids(self, count: int) -> Tensor:
        """Return `count` centroids of w, `[count, w_dim]`, for truncation that keeps kinds apart (Mokady et al., 2022):
        k-means over w of 5,000 random z, the classes in turn. The same for the same weights; kept once found."""
        if count not in self._centroids:
            from sklearn.cluster import KMeans

            parts = []
            for start in range(0, _CENTROID_SAMPLES, _CENTROID_BATCH):
                rng = np.random.default_rng([_CENTROID_SEED, start])
                z = rng.standard_normal((_CENTROID_BATCH, self.spec.z_dim), dtype=np.float32)
                kinds = self.spec.label_dim
                labels = [(start + i) % kinds for i in range(_CENTROID_BATCH)] if kinds else None
                parts.append(self.mapping(z, labels).cpu().numpy())
            found = KMeans(count, n_init=2, random_state=0).fit(np.concatenate(parts).astype(np.float64))
            self._centroids[count] = torch.from_numpy(found.cluster_centers_).float().to(self.device)
        return self._centroids[count]

    def nearest_centroid(self, row: Tensor, count: int) -> Tensor:
        """Return that of `centroids(count)` which is nearest to w_plus `[num_ws, w_dim]`, by its mean."""
        centroids = self.centroids(count)
        return centroids[(centroids - row.mean(dim=0)).square().sum(dim=1).argmin()]

    def _direction(self, name: str) -> Tensor:
        """Return a direction by name: a given one, or that of its file, which is read anew when it has changed."""
        known = self._directions.get(name)
        path = None if self.folder is None else self.folder / editing.FOLDER / f"{name}{editing.SUFFIX}"
        changed = _mtime(path) if path is not None and latents.NAME.fullmatch(name) else None
        if known is not None and (known[0] == 0 or known[0] == changed):
            return known[1]
        if path is None or changed is None:
            self._directions.pop(name, None)  # its file is gone
            found = [] if self.folder is None else editing.list_directions(self.folder)[0]
            given = [known for known, (changed, _) in self._directions.items() if changed == 0]
            names = ", ".join(dict.fromkeys([*given, *(d.name for d in found)])) or "none"
            raise InputError(f"no direction named {name!r}", f"directions of this model: {names[:300]}")
        direction = editing.load_direction(path)
        if not direction.suits(self.spec):
            shape = list(direction.vector.shape)
            raise InputError(f"the direction {name} has the shape {shape}", "it is that of another kind of model")
        self._directions[name] = changed, direction.vector
        return direction.vector

    def w_plus(self, recipes: Sequence[Recipe]) -> Tensor:
        """Return w_plus `[N, num_ws, w_dim]` of recipes: blended, mixed, truncated, edited, in this order.

        Seeds blend in w by their weights, normalised to sum 1. Raises `InputError` for a class, style input or
        direction that the model does not have.
        """
        num_ws = self.spec.num_ws
        with self._lock:
            wanted = [(s, r.label) for r in recipes for s in (*(x for x, _ in r.seeds), *(x for _, x in r.mix))]
            w_of = self._w_of_seeds(wanted)
            rows = []
            for recipe in recipes:
                if recipe.base is not None:
                    row = self._base(recipe).clone()
                else:
                    total = sum(weight for _, weight in recipe.seeds)
                    w = torch.stack([w_of[s, recipe.label] * (weight / total) for s, weight in recipe.seeds]).sum(dim=0)
                    row = w[None].repeat(num_ws, 1)
                for idx, seed in recipe.mix:
                    if not 0 <= idx < num_ws:
                        raise InputError(f"style input {idx} does not exist", f"this model has 0 … {num_ws - 1}")
                    row[idx] = w_of[seed, recipe.label]
                if self.spec.truncatable:
                    centroid = self.nearest_centroid(row, recipe.centres) if recipe.centres else self.w_avg
                    row = latents.truncate(row[None], centroid, recipe.psi, recipe.cutoff)[0]
                for edit in recipe.edits:
                    vector = self._direction(edit.direction)
                    layers = slice(edit.first, num_ws if edit.last is None else edit.last + 1)
                    row[layers] += edit.strength * (vector if vector.ndim == 1 else vector[layers]).to(row)
                rows.append(row)
            return torch.stack(rows) if rows else torch.zeros(0, num_ws, self.spec.w_dim, device=self.device)

    def noise_strengths(self, recipes: Sequence[Recipe]) -> np.ndarray | None:
        """As `latents.noise_strengths_of`; None for a model without noise, which ignores what the recipes say."""
        return latents.noise_strengths_of(recipes, self.spec.num_ws) if len(self.spec.noise_modes) > 1 else None

    # -- pictures --------------------------------------------------------------------------------------------------

    def default_batch(self) -> int:
        """Return how many pictures go through the network at once on this device."""
        budget = _PIXELS_PER_BATCH.get(self.device.type, _PIXELS_PER_BATCH["cpu"])
        return max(1, min(64, budget // self.spec.resolution**2))

    def synthesize_batches(
        self,
        w_plus: Tensor,
        *,
        noise_mode: str = "const",
        noise_seeds: Sequence[int] | None = None,
        places: Sequence[Place] | None = None,
        noise_strengths: np.ndarray | None = None,
        batch: int | None = None,
    ) -> Iterator[np.ndarray]:
        """Yield uint8 `[n, R, R, 3]` for w_plus `[N, num_ws, w_dim]`, in order, `batch` pictures at a time.

        `noise_seeds`: one per picture for noise mode `random`; the same seed is the same noise on every device.
        `places`: how each picture is moved and turned, as `(recipe.translate, recipe.rotate)`; a model that cannot move
        ignores it. `noise_strengths` `[N, num_ws]`: what the noise of each style input's layer is multiplied by
        (`noise_strengths_of`); a model without noise ignores it."""
        if noise_mode not in self.spec.noise_modes:
            modes = ", ".join(self.spec.noise_modes)
            raise InputError(f"this model has no noise mode {noise_mode!r}", f"choose one of: {modes}")
        if batch is not None and batch < 1:
            raise InputError(f"batch {batch} is below 1", "use 1 or more")
        size = batch or self.default_batch()
        seeds = list(noise_seeds) if noise_seeds is not None else [0] * len(w_plus)
        for start in range(0, len(w_plus), size):
            part = w_plus[start : start + size].to(self.device, torch.float32)
            rng, more = None, {}
            if places is not None and self.spec.movable:
                matrices = [latents.placement(*place) for place in places[start : start + size]]
                more["transform"] = torch.stack(matrices).to(self.device)
            if noise_strengths is not None and len(self.spec.noise_modes) > 1:
                strengths = torch.from_numpy(noise_strengths[start : start + size])
                more["noise_gain"] = strengths.to(self.device, torch.float32)
            if noise_mode == "random":
                rng = [torch.Generator().manual_seed(s) for s in seeds[start : start + size]]
            with (
                self._lock,
                torch.no_grad(),
                device.out_of_memory_hint(f"use a smaller batch than {size}, or `--device cpu`"),
            ):
                image = self.generator.synthesis(part, noise_mode=noise_mode, rng=rng, **more)
            yield images.to_pixels(image)

    def synthesize(
        self,
        w_plus: Tensor,
        *,
        noise_mode: str = "const",
        noise_seeds: Sequence[int] | None = None,
        places: Sequence[Place] | None = None,
        noise_strengths: np.ndarray | None = None,
        batch: int | None = None,
    ) -> np.ndarray:
        """Return uint8 `[N, R, R, 3]`; arguments as `synthesize_batches`."""
        parts = list(
            self.synthesize_batches(
                w_plus,
                noise_mode=noise_mode,
                noise_seeds=noise_seeds,
                places=places,
                noise_strengths=noise_strengths,
                batch=batch,
            )
        )
        side = self.spec.resolution
        return np.concatenate(parts) if parts else np.zeros((0, side, side, 3), np.uint8)

    # -- sketches --------------------------------------------------------------------------------------------------

    @property
    def seconds_per_picture(self) -> float:
        """How long a picture took lately; 0 before the first."""
        return self._seconds

    @property
    def _sketch_side(self) -> int:
        return self.spec.resolution // 4

    def sketch(self, recipe: Recipe) -> np.ndarray | None:
        """Return uint8 `[R/4, R/4, 3]`: what the lower blocks make of a recipe, in the colours of the last whole
        picture; None where the family has none, or no whole picture was made yet.

        The blocks that are left out change colours too. How, is read off the last picture of `render_one`: a gain and
        a shift for each channel, by least squares."""
        if self._colours is None:
            return None
        found = self._raw_sketch(recipe)
        if found is None:
            return None
        gain, shift = self._colours
        return images.to_pixels(found * gain[None, :, None, None] + shift[None, :, None, None])[0]

    def render_one(self, recipe: Recipe) -> np.ndarray:
        """Return `render([recipe])[0]` and keep its colours for sketches where pictures take long."""
        pixels = self.render([recipe])[0]
        if self._seconds > SLOW_SECONDS and (found := self._raw_sketch(recipe)) is not None:
            whole = torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None].to(found)
            small = torch.nn.functional.interpolate(whole, found.shape[-2:], mode="area")
            small = small[0, : found.shape[1]].flatten(1)
            own = found[0].flatten(1)
            centred = own - own.mean(dim=1, keepdim=True)
            spread = (centred * small).sum(dim=1) / centred.square().sum(dim=1).clamp(min=1e-6)
            gain = spread.clamp(0.1, 10)
            self._colours = gain, small.mean(dim=1) - gain * own.mean(dim=1)
        return pixels

    def _raw_sketch(self, recipe: Recipe) -> Tensor | None:
        with self._lock, torch.no_grad():
            return self.generator.sketch(self.w_plus([recipe]), self._sketch_side)

    def render(self, recipes: Sequence[Recipe], *, batch: int | None = None) -> np.ndarray:
        """Return uint8 RGB `[N, R, R, 3]`, one picture per recipe."""
        out = np.zeros((len(recipes), self.spec.resolution, self.spec.resolution, 3), np.uint8)
        w_plus, began = self.w_plus(recipes), time.perf_counter()
        for mode in sorted({r.noise_mode for r in recipes}):
            idx = [i for i, r in enumerate(recipes) if r.noise_mode == mode]
            # A model without noise maps has only one mode, whatever a recipe made for another model asks for.
            used = mode if len(self.spec.noise_modes) > 1 else self.spec.noise_modes[0]
            seeds = [recipes[i].noise_seed for i in idx]
            places = [(recipes[i].translate, recipes[i].rotate) for i in idx]
            noise_strengths = self.noise_strengths([recipes[i] for i in idx])
            out[idx] = self.synthesize(
                w_plus[idx],
                noise_mode=used,
                noise_seeds=seeds,
                places=places,
                noise_strengths=noise_strengths,
                batch=batch,
            )
        if recipes:
            self._seconds = (time.perf_counter() - began) / len(recipes)
        return out


def _mtime(path: Path) -> int | None:
    """When a file was changed, in nanoseconds; None where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def load_w_plus(
    path: Path,
    spec: GeneratorSpec,
    *,
    mapping: Callable[[Tensor], Tensor] | None = None,
    say: Callable[[str], None] | None = None,
) -> Tensor:
    """Read the latents in an .npz, .npy or .pt → `[N, num_ws, w_dim]` float32.

    Of a file's arrays the one called `w`, `w_plus`, `projected_w`, `latent` or `ws` counts, else `z`, `zs` or
    `projected_z`, in any case, else the only one if nobody named it; a .pt may hold a tensor, a table of tensors, or a
    table of tables for each picture; nothing in it is run.
    Shapes: `[N, num_ws, w_dim]`, `[num_ws, w_dim]`, `[N, w_dim]`, `[w_dim]`, and these with more axes of length 1
    before. An array called `z`, `[N, z_dim]` or `[z_dim]`, goes through `mapping`, z → w `[N, w_dim]`; where that is
    None, or the model has classes, it is refused. `say` gets a sentence where a shape could mean something else.
    Raises `DataError` for a file of another kind or a latent of another model's shape."""
    path = Path(path)
    hint = f"a file .npz, .npy or .pt with an array `w` of shape [N, {spec.num_ws}, {spec.w_dim}] is expected"
    try:
        check_regular(path, max_bytes=_MOST_LATENT_BYTES)
        found = [(name, np.asarray(array, np.float32)) for name, array in _latents_in(path)]
    except FileNotFoundError as error:
        raise DataError(f"no file {path}", hint) from error
    except (NotRegularError, TooLargeError, IsADirectoryError) as error:
        raise DataError(f"{path.name} holds no latent: {error.strerror}", hint) from error
    except UNREADABLE as error:
        # NumPy's own words are left out: of a file with objects they say how to load it unsafely.
        raise DataError(f"{path.name} holds no latent", hint) from error
    rows = []
    for name, w in found:
        shape = list(w.shape)
        if not np.isfinite(w).all():
            raise DataError(f"{path.name} holds values that are not finite", "project the photograph again")
        if name in _Z_NAMES:
            w = _mapped(path.name, w, spec, mapping)
        while w.ndim > 2 and len(w) == 1:
            w = w[0]
        if w.ndim == 1 or (w.ndim == 2 and w.shape[0] == spec.num_ws):
            if w.ndim == 2 and spec.num_ws > 1 and len(shape) == 2 and name not in _Z_NAMES and say:
                say(f"{path.name}: {shape} is taken as the {shape[0]} style inputs of one picture, not as so many w")
            w = w[None]
        if w.ndim == 2:
            w = np.repeat(w[:, None], spec.num_ws, axis=1)
        if w.ndim != 3 or w.shape[1:] != (spec.num_ws, spec.w_dim) or not len(w):
            raise DataError(f"{path.name} has w of shape {shape}", hint)
        is_vague = name in ("", "latent") and shape[-1] == spec.z_dim and shape[-2:-1] != [spec.num_ws]
        if is_vague and spec.num_ws > 1 and say:
            called = f"is called {name}" if name else "has no name"
            say(f"{path.name}: its array {called} and is taken as w; z has to be called so, in an .npz")
        rows.append(w)
    if not rows:
        raise DataError(f"{path.name} holds no latent", hint)
    return torch.from_numpy(np.concatenate(rows))


def _mapped(file: str, z: np.ndarray, spec: GeneratorSpec, mapping: Callable[[Tensor], Tensor] | None) -> np.ndarray:
    """Return w_plus `[N, num_ws, w_dim]` of z `[N, z_dim]` or `[z_dim]`."""
    rows = z.reshape(-1, z.shape[-1]) if z.ndim and z.size == max(z.shape[:-1], default=1) * z.shape[-1] > 0 else z
    if rows.ndim != 2 or rows.shape[1] != spec.z_dim or not len(rows):
        raise DataError(f"{file} has z of shape {list(z.shape)}", f"z of this model has the shape [N, {spec.z_dim}]")
    if mapping is None or spec.label_dim:
        why = f", and which of the {spec.label_dim} classes is meant it does not say" if spec.label_dim else ""
        hint = "save what the mapping network makes of it, as `w`, or give --seeds"
        raise DataError(f"{file} holds z, the input of the mapping network, where w is expected{why}", hint)
    with torch.no_grad():
        w = mapping(torch.from_numpy(rows)).cpu().numpy()
    return np.repeat(w[:, None], spec.num_ws, axis=1)


def _latents_in(path: Path) -> list[tuple[str, np.ndarray]]:
    """The arrays of a file that are latents by their names, with these names, in order."""
    if path.suffix in (".pt", ".pth"):
        value = load_torch(path, max_bytes=_MOST_LATENT_BYTES)
        tables = list(value.values()) if isinstance(value, Mapping) else []
        if not tables or not all(isinstance(each, Mapping) for each in tables):  # else one table for each picture
            tables = [value if isinstance(value, Mapping) else {"": value}]
        found = [{str(k): v.detach().numpy() for k, v in t.items() if isinstance(v, Tensor)} for t in tables]
        return [_named(path.name, each) for each in found]
    arrays = editing.read_arrays(path, max_bytes=_MOST_LATENT_BYTES)
    return [("", arrays[""]) if "" in arrays else _named(path.name, arrays)]


def _named(file: str, arrays: Mapping[str, Any]) -> tuple[str, Any]:
    """The array that is a latent, under the name that we know it by, or an empty one where nobody named it."""
    for known in (*_LATENT_NAMES, *_Z_NAMES):
        name = known if known in arrays else next((name for name in arrays if name.casefold() == known), None)
        if name is not None:
            return known, arrays[name]
    if len(arrays) == 1 and set(arrays) <= _NAMELESS:
        return "", next(iter(arrays.values()))
    there = ", ".join(repr(name[:40]) for name in list(arrays)[:8]) or "no array"
    hint = f"call it {', '.join(_LATENT_NAMES)}, or, if it goes into the mapping network, {', '.join(_Z_NAMES)}"
    raise DataError(f"{file} holds {there}, and none is known as the name of a latent", hint)


def keep_w_plus(
    path: Path,
    folder: Path,
    spec: GeneratorSpec,
    *,
    mapping: Callable[[Tensor], Tensor] | None = None,
    say: Callable[[str], None] | None = None,
) -> list[Recipe]:
    """Copy every latent of a file (as `load_w_plus`) to a model's `folder` and return a recipe for each, in order.

    The same latent gets the same name again. Raises `DataError` as `load_w_plus`."""
    recipes = []
    stem = re.sub(r"[^A-Za-z0-9]+", "-", Path(path).stem).strip("-")[:40] or "w"
    for row in load_w_plus(path, spec, mapping=mapping, say=say).numpy():
        name = f"{stem}-{hashlib.sha256(row.tobytes()).hexdigest()[:8]}"
        buffer = io.BytesIO()
        np.savez(buffer, w=row[None])
        (Path(folder) / "w_plus").mkdir(parents=True, exist_ok=True)
        write_bytes(Path(folder) / "w_plus" / f"{name}.npz", buffer.getvalue())
        recipes.append(Recipe(base=name))
    return recipes
