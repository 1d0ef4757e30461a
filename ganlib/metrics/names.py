"""Names of metrics: kind, number of generated pictures and features, as in `kid1k_fruit-d` and `fid50k_full_inception`.

They are NVIDIA's names, followed by the features. Without features a name asks for the best there are on this machine;
a figure always carries the features that it was measured on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ganlib.errors import InputError

_FEATURES = r"(?:_(?!full)(?P<features>[a-z][a-z0-9-]*))?"
_NAME = re.compile(rf"(?P<kind>[a-z]+?)(?P<num>\d+)(?:(?P<k>k)3?)?(?P<full>_full)?{_FEATURES}")
_PATH = re.compile(rf"(?P<kind>ppl)2_wend(?:(?P<num>\d+)(?P<k>k)?)?(?P<full>_full)?{_FEATURES}")
_HINT = "write kind, count and, if you like, features: kid1k, fid5k, pr1k, fid50k_full, kid1k_squeezenet; or none"
KINDS = {
    "fid": "Fréchet distance",
    "kid": "kernel distance",
    "pr": "precision and recall",
    "ppl": "perceptual path length",
    "is": "Inception score",
}
NEIGHBOURS = 3
FEW = 2000
"""Pictures of either kind below which a Fréchet distance says more about their number than about the model: about as
many as Inception-v3 has features, 2,048, and with fewer a covariance of them has no full rank (Heusel et al., 2017)."""
FEW_FOR_PR = 500
"""Pictures of either kind below which precision and recall say more about their number than about the model: each is
counted within the distance to its third nearest neighbour, which shrinks as pictures are added. Kynkäänniemi et al.,
2019, use 50,000 of both."""
PATHS = 50_000
"""Paths of `ppl2_wend` where its name has no number."""
MAX_COUNT = 1_000_000


@dataclass(frozen=True)
class Metric:
    """What is measured. `str(metric)` is its name."""

    kind: str
    """A key of `KINDS`."""
    count: int
    """Generated pictures, and real ones where the set has as many; of `ppl` the paths, of two pictures each."""
    full: bool = False
    """Compare with all real pictures rather than with `count` of them."""
    features: str | None = None
    """Name of the features, or of the distance of `ppl`; None while they are to be chosen."""

    def __str__(self) -> str:
        count = f"{self.count // 1000}k" if self.count % 1000 == 0 else str(self.count)
        tail = f"_{self.features}" if self.features else ""
        if self.kind == "ppl":
            return f"ppl2_wend{'' if self.count == PATHS else count}{tail}"
        # NVIDIA's pr50k3 names the neighbours; after a bare number, a 3 would be one more digit of it.
        neighbours = str(NEIGHBOURS) if self.kind == "pr" and count.endswith("k") else ""
        return f"{self.kind}{count}{neighbours}{'_full' * self.full}{tail}"

    @property
    def needs_reals(self) -> bool:
        """Whether real pictures are looked at."""
        return self.kind in ("fid", "kid", "pr")


def doubt_about(name: str, num_real: int, num_fake: int) -> str:
    """Return why a figure of that name is not to be relied on with so few pictures; empty where it is.

    A number of 0 is not known."""
    enough = FEW if name.startswith("fid") else FEW_FOR_PR if name.startswith("pr") else 0
    few = [f"{num:,} {kind}" for num, kind in ((num_real, "real"), (num_fake, "generated")) if 0 < num < enough]
    if not few:
        return ""
    if enough == FEW_FOR_PR:
        return (
            f"{' and '.join(few)} pictures are too few for precision and recall: the figure depends on their number "
            f"more than on the model; take {FEW_FOR_PR:,} or more of both (the paper has 50,000), and compare equal "
            "numbers only"
        )
    return (
        f"{' and '.join(few)} pictures are too few for FID: it comes out too high, for a perfect model too, and the "
        f"95 % interval does not cover that; take {FEW:,} or more of both, or KID, which has no such bias"
    )


def parse_metric(text: str) -> Metric:
    """Read a name such as `kid1k`, `fid5k_full_squeezenet`, `pr1k` (`pr1k3`), `is50k`, `ppl2_wend`, `ppl2_wend500` or,
    short for such, `ppl500`. Raises `InputError`."""
    word = text.strip().lower()
    found = _PATH.fullmatch(word) or _NAME.fullmatch(word)
    if found is None:
        raise InputError(f"{text.strip()!r} is no metric", _HINT)
    kind = found["kind"]
    count = int(found["num"][:9]) * (1000 if found["k"] else 1) if found["num"] else PATHS
    if kind not in KINDS:
        known = ", ".join(f"{name} ({words})" for name, words in KINDS.items())
        raise InputError(f"{text.strip()!r}: {kind!r} is no kind of metric", f"there are {known}; for example kid1k")
    if not NEIGHBOURS < count <= MAX_COUNT:
        raise InputError(f"{text.strip()!r} asks for {count} pictures", f"use {NEIGHBOURS + 1} to {MAX_COUNT:,}")
    metric = Metric(kind, count, bool(found["full"]), found["features"])
    if metric.full and not metric.needs_reals:
        raise InputError(f"{text.strip()!r}: {KINDS[kind]} looks at no real pictures", "leave `_full` out")
    return metric


def parse_metrics(text: str) -> list[Metric]:
    """Read names separated by commas; `none` or nothing is an empty list. Raises `InputError`."""
    words = [word for word in text.split(",") if word.strip()]
    if [word.strip().lower() for word in words] == ["none"]:
        return []
    return list(dict.fromkeys(parse_metric(word) for word in words))
