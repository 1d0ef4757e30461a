"""Names of metrics: kind, number of generated pictures and features, as in `kid1k_fruit-d` and `fid50k_full_inception`.

They are NVIDIA's names, followed by the features. Without features a name asks for the best there are on this machine;
a figure always carries the features that it was measured on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ganlib.base.errors import InputError
from ganlib.metrics.distances import NEIGHBOURS
from ganlib.metrics.kinds import KINDS, Kind, kind_of

_FEATURES = r"(?:_(?!full)(?P<features>[a-z][a-z0-9-]*))?"
_NAME = re.compile(rf"(?P<kind>[a-z]+?)(?P<num>\d+)(?:(?P<k>k)3?)?(?P<full>_full)?{_FEATURES}")
_HINT = "write kind, count and, if you like, features: kid1k, fid5k, pr1k, fid50k_full, kid1k_squeezenet; or none"
MAX_COUNT = 1_000_000


@dataclass(frozen=True)
class Metric:
    """What is measured. `str(metric)` is its name."""

    kind: str
    """A key of `KINDS`."""
    count: int
    """Generated pictures, and real ones where the set has as many; of steps their number, of two pictures each."""
    full: bool = False
    """Compare with all real pictures rather than with `count` of them."""
    features: str | None = None
    """Name of the features, or of the distance of steps; None while they are to be chosen."""

    def __str__(self) -> str:
        # NVIDIA's pr50k3 names the neighbours; after a bare number, a 3 would be one more digit of it.
        return self._written(self.row.after_thousands if self.count % 1000 == 0 else "")

    @property
    def short(self) -> str:
        """Its name as a person asks for it; `parse_metric` reads both."""
        return self._written("")

    @property
    def row(self) -> Kind:
        """All that is known of its kind."""
        return KINDS[self.kind]

    def _written(self, neighbours: str) -> str:
        count = f"{self.count // 1000}k" if self.count % 1000 == 0 else str(self.count)
        number = "" if self.count == self.row.usual_count else count + neighbours
        tail = f"_{self.features}" if self.features else ""
        return f"{self.kind}{self.row.stem}{number}{'_full' * self.full}{tail}"


def doubt_about(name: str, num_real: int, num_fake: int) -> str:
    """Return why a figure of that name is not to be relied on with so few pictures; empty where it is.

    A number of 0 is not known."""
    row = kind_of(name)
    enough = row.enough if row else 0
    few = [f"{num:,} {kind}" for num, kind in ((num_real, "real"), (num_fake, "generated")) if 0 < num < enough]
    return row.doubt.format(few=" and ".join(few), enough=enough) if row and few else ""


def parse_metric(text: str) -> Metric:
    """Read a name such as `kid1k`, `fid5k_full_squeezenet`, `pr1k` (`pr1k3`), `is50k`, `ppl2_wend`, `ppl2_wend500` or,
    short for such, `ppl500`. Raises `InputError`."""
    word = text.strip().lower()
    stemmed = (
        rf"(?P<kind>{row.key}){row.stem}(?:(?P<num>\d+)(?P<k>k)?)?(?P<full>_full)?{_FEATURES}"
        for row in KINDS.values()
        if row.stem and row.usual_count
    )
    found = next(filter(None, (re.fullmatch(pattern, word) for pattern in stemmed)), None) or _NAME.fullmatch(word)
    if found is None:
        raise InputError(f"{text.strip()!r} is no metric", _HINT)
    kind = found["kind"]
    if kind not in KINDS:
        known = ", ".join(f"{row.key} ({row.words})" for row in KINDS.values())
        raise InputError(f"{text.strip()!r}: {kind!r} is no kind of metric", f"there are {known}; for example kid1k")
    row = KINDS[kind]
    count = int(found["num"][:9]) * (1000 if found["k"] else 1) if found["num"] else row.usual_count or 0
    if not NEIGHBOURS < count <= MAX_COUNT:
        raise InputError(f"{text.strip()!r} asks for {count} pictures", f"use {NEIGHBOURS + 1} to {MAX_COUNT:,}")
    if found["full"] and not row.needs_reals:
        raise InputError(f"{text.strip()!r}: {row.words} looks at no real pictures", "leave `_full` out")
    return Metric(kind, count, bool(found["full"]), found["features"])


def parse_metrics(text: str) -> list[Metric]:
    """Read names separated by commas; `none` or nothing is an empty list. Raises `InputError`."""
    words = [word for word in text.split(",") if word.strip()]
    if [word.strip().lower() for word in words] == ["none"]:
        return []
    return list(dict.fromkeys(parse_metric(word) for word in words))
