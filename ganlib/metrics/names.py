"""Names of metrics: kind, number of generated pictures and features, as in `kid1k_squeezenet`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ganlib.errors import InputError
from ganlib.metrics.distances import NEIGHBOURS

_NAME = re.compile(r"(?P<kind>[a-z]+?)(?P<num>\d+)(?:(?P<k>k)3?)?(?P<full>_full)?(?:_(?P<features>[a-z][a-z0-9-]*))?")
_HINT = "write kind, count and, if you like, features: kid1k, fid5k, pr1k, fid50k_full, kid1k_squeezenet; or none"
KINDS = {"fid": "Fréchet distance", "kid": "kernel distance", "pr": "precision and recall"}
MAX_COUNT = 1_000_000


@dataclass(frozen=True)
class Metric:
    """What is measured. `str(metric)` is its name."""

    kind: str
    """A key of `KINDS`."""
    count: int
    """Generated pictures, and real ones where the set has as many."""
    full: bool = False
    """Compare with all real pictures rather than with `count` of them."""
    features: str | None = None
    """Name of the features; None while they are to be chosen."""

    def __str__(self) -> str:
        count = f"{self.count // 1000}k" if self.count % 1000 == 0 else str(self.count)
        return f"{self.kind}{count}{'_full' * self.full}" + (f"_{self.features}" if self.features else "")


def parse_metric(text: str) -> Metric:
    """Read a name such as `kid1k`, `fid5k_full_squeezenet` or `pr1k` (`pr1k3`). Raises `InputError`."""
    found = _NAME.fullmatch(text.strip().lower())
    if found is None:
        raise InputError(f"{text.strip()!r} is no metric", _HINT)
    kind, count = found["kind"], int(found["num"][:9]) * (1000 if found["k"] else 1)
    if kind not in KINDS:
        known = ", ".join(f"{name} ({words})" for name, words in KINDS.items())
        raise InputError(f"{text.strip()!r}: {kind!r} is no kind of metric", f"there are {known}; for example kid1k")
    if not NEIGHBOURS < count <= MAX_COUNT:
        raise InputError(f"{text.strip()!r} asks for {count} pictures", f"use {NEIGHBOURS + 1} to {MAX_COUNT:,}")
    return Metric(kind, count, found["full"] is not None, found["features"])


def parse_metrics(text: str) -> list[Metric]:
    """Read names separated by commas; `none` or nothing is an empty list. Raises `InputError`."""
    words = [word for word in text.split(",") if word.strip()]
    if [word.strip().lower() for word in words] == ["none"]:
        return []
    return list(dict.fromkeys(parse_metric(word) for word in words))
