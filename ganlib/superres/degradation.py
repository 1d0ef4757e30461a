"""Pictures as they are met: blurred, made small by one program or another, grainy, and kept as JPEG."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageFilter

_KERNELS = (Image.Resampling.BICUBIC, Image.Resampling.LANCZOS, Image.Resampling.BILINEAR, Image.Resampling.BOX)
CLEAN = 0.35  # share of pictures that are only made small
_BLURRED, _GRAINY, _COMPRESSED = 0.5, 0.4, 0.6  # shares of the others


def degrade(pixels: np.ndarray, scale: int, rng: np.random.Generator, *, clean: float = CLEAN) -> np.ndarray:
    """Return uint8 `[H / scale, W / scale, 3]` of uint8 `[H, W, 3]` whose sides `scale` divides.

    One of four antialiased kernels; of all but the share `clean`, half are blurred before it (up to 1.6 pixels of the
    large picture), then some get Gaussian grain (deviation up to 6 of 255) and some are kept as JPEG (quality 55 to
    97)."""
    picture = Image.fromarray(pixels)
    is_clean = rng.random() < clean
    if not is_clean and rng.random() < _BLURRED:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 1.6)))
    kernel = _KERNELS[int(rng.choice(4, p=(0.45, 0.25, 0.15, 0.15)))]
    picture = picture.resize((pixels.shape[1] // scale, pixels.shape[0] // scale), kernel)
    if is_clean:
        return np.asarray(picture)
    if rng.random() < _GRAINY:
        shape = (*picture.size[::-1], 3 if rng.random() < 0.6 else 1)
        grain = rng.normal(0, rng.uniform(0.5, 6), shape)
        picture = Image.fromarray(np.clip(np.asarray(picture) + grain + 0.5, 0, 255).astype(np.uint8))
    if rng.random() < _COMPRESSED:
        out = BytesIO()
        picture.save(out, "JPEG", quality=int(rng.integers(55, 98)), subsampling=int(rng.choice((0, 2))))
        picture = Image.open(BytesIO(out.getvalue()), formats=("JPEG",)).convert("RGB")
    return np.asarray(picture)
