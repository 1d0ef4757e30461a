"""Linear algebra on w and on style weights: the directions themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ganlib.base.errors import InputError
from ganlib.latents.editing import Direction
from ganlib.render.renderer import Renderer

COMPONENTS = 80
SAMPLES = 10_000
_BATCH = 1000
_FACE = 16  # pixels a side of the small pictures that stand in for the features of a network without styles
_RIDGE = 1e-3


@dataclass(frozen=True, eq=False)
class Components:
    """Principal components of w."""

    mean: Tensor
    """`[w_dim]` float32."""
    vectors: Tensor
    """Rows of length 1, `[K, w_dim]` float32, the greatest variance first, signed by `fix_signs`."""
    sigma: Tensor
    """Standard deviation of w along each, `[K]` float32."""
    share: Tensor
    """Part of the whole variance that each explains, `[K]`, falling."""


def fix_signs(vectors: Tensor) -> Tensor:
    """Return rows `[K, D]` with their greatest coordinate positive: an eigenvector has no sign of its own."""
    at = vectors.abs().argmax(dim=1, keepdim=True)
    return vectors * torch.where(vectors.gather(1, at) < 0, -1.0, 1.0).to(vectors)


def eigen_directions(matrix: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` greatest eigenvalues `[K]` of a symmetric matrix `[D, D]`, falling, and its eigenvectors as
    rows `[K, D]`, signed by `fix_signs`; float64."""
    values, vectors = torch.linalg.eigh(matrix.double().cpu())
    count = min(count, len(values))
    return values.flip(0)[:count], fix_signs(vectors.T.flip(0)[:count])


def sample_w(renderer: Renderer, count: int, *, seed: int = 0) -> Tensor:
    """Return w `[count, w_dim]` float32 on the CPU: standard normal z from `seed` through the mapping network, the
    classes in turn where the model has any. The first n of a seed are the same for every count."""
    spec, parts = renderer.spec, []
    for start in range(0, count, _BATCH):
        rng = np.random.default_rng([seed, start])
        z = rng.standard_normal((_BATCH, spec.z_dim), dtype=np.float32)[: count - start]
        labels = [(start + i) % spec.label_dim for i in range(len(z))] if spec.label_dim else None
        parts.append(renderer.mapping(z, labels).cpu())
    return torch.cat(parts)


def principal_components(
    renderer: Renderer, count: int = COMPONENTS, *, samples: int = SAMPLES, seed: int = 0
) -> Components:
    """Return the principal components of w over random z (GANSpace, Härkönen et al., 2020).

    Eigenvectors of the covariance Σ (w - w̄)(w - w̄)ᵀ / n, in float64. Where a model has no mapping network its w is
    plain noise, the same in every direction; there, as the paper does for such models, the components are those of
    what the network makes of it (its pictures at 16 × 16 pixels), led back to w by linear regression.
    Raises `InputError` for fewer samples than two.
    """
    if samples < 2:
        raise InputError(f"{samples} samples have no spread", "use 2 or more; 10000 is usual")
    w = sample_w(renderer, samples, seed=seed).double()
    mean = w.mean(dim=0)
    centred = w - mean
    if renderer.spec.truncatable:
        covariance = centred.T @ centred / len(w)
        values, vectors = eigen_directions(covariance, count)
        whole = covariance.diagonal().sum()
    else:
        values, vectors, whole = _of_pictures(renderer, w, centred, count)
    sigma = (centred @ vectors.T).square().mean(dim=0).sqrt()
    share = values.clamp(min=0) / whole.clamp(min=1e-30)
    return Components(mean.float(), vectors.float(), sigma.float(), share.float())


def _of_pictures(renderer: Renderer, w: Tensor, centred: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Variances of the pictures' components, and the directions of w that regression finds for them."""
    few = min(len(w), 4000)
    faces = []
    for start in range(0, few, _BATCH):
        w_plus = w[start : min(start + _BATCH, few)].float()[:, None].repeat(1, renderer.spec.num_ws, 1)
        mode = renderer.spec.noise_modes[0]
        for pixels in renderer.synthesize_batches(w_plus, noise_mode=mode):
            small = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
            faces.append(torch.nn.functional.interpolate(small, (_FACE, _FACE), mode="area").flatten(1))
    seen = torch.cat(faces).double()
    seen = seen - seen.mean(dim=0)
    covariance = seen.T @ seen / len(seen)
    values, axes = eigen_directions(covariance, min(count, w.shape[1]))
    inputs = centred[:few]
    gram = inputs.T @ inputs
    ridge = _RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    slopes = torch.linalg.solve(gram + ridge, inputs.T @ (seen @ axes.T)).T
    lengths = slopes.norm(dim=1, keepdim=True)
    return values, fix_signs(slopes / lengths.clamp(min=1e-30)), covariance.diagonal().sum()


def style_directions(weights: Sequence[Tensor] | Mapping[str, Tensor], count: int) -> tuple[Tensor, Tensor]:
    """Return what moves the styles most (SeFa, Shen and Zhou, 2021): eigenvalues `[K]`, falling, and directions of
    length 1 as rows `[K, w_dim]`, float64, signed by `fix_signs`.

    `weights` are the affine weights A_i `[channels, w_dim]` of the layers looked at. The paper's maximum of
    ‖A n‖² over ‖n‖ = 1 is the greatest eigenvector of Σ A_iᵀA_i. As in its authors' tool each row of A has length 1
    first, or a few channels of great weight would decide. Raises `InputError` where there is no weight.
    """
    rows = list(weights.values() if isinstance(weights, Mapping) else weights)
    if not rows:
        raise InputError("this kind of network has no styles", "find directions by principal components (pca) instead")
    A = torch.cat([row.detach().double().cpu() for row in rows])
    A = A / A.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return eigen_directions(A.T @ A, count)


def between(renderer: Renderer, there: Tensor, here: Tensor | None, name: str, *, method: str) -> Direction:
    """Return the direction from some pictures to others: mean w_plus of `there` less that of `here`.

    `there` and `here` are `[N, num_ws, w_dim]`; `here` None is the centre of w. Its length becomes one sigma of w along
    it. The same difference in all style inputs is kept as one row. Raises `InputError` where both means are the same.
    """
    spec = renderer.spec
    centre = renderer.w_avg.cpu()[None].repeat(spec.num_ws, 1)
    step = there.cpu().float().mean(dim=0) - (centre if here is None else here.cpu().float().mean(dim=0))
    length = step.norm() / spec.num_ws**0.5
    if not length > 1e-6:
        raise InputError("both sets are the same picture", "choose pictures that differ in what you want to change")
    is_even = torch.allclose(step, step[:1].expand_as(step), atol=1e-5)
    unit = (step[0] if is_even else step) / length
    axis = unit if is_even else unit.mean(dim=0)
    w = sample_w(renderer, 2000)
    spread = (w - w.mean(dim=0)) @ (axis / axis.norm().clamp(min=1e-12))
    sigma = float(spread.std()) or 1.0
    return Direction(name, unit * sigma, method=method)
