"""What an examination found, as a page or a program goes through it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganlib.base.errors import DataError
from ganlib.base.filesystem import MOST_LINES_BYTES, open_regular
from ganlib.base.reports import printable
from ganlib.dataset.checks.findings import KINDS, Finding
from ganlib.dataset.checks.measure import Measures
from ganlib.dataset.checks.page import as_page
from ganlib.dataset.checks.store import FILE_NAME, Store
from ganlib.dataset.exclusion import write_exclusions
from ganlib.runs import write_bytes
from ganlib.runs.files import read_json

REPORT_NAME, PAGE_NAME, LIST_NAME, SETTINGS_NAME = "report.jsonl", "report.html", "exclude.txt", "examination.json"


@dataclass(frozen=True)
class Examined:
    """One picture: its measures and findings, or the error there was in reading it."""

    name: str
    measures: Measures | None
    scores: Mapping[str, float]
    """Kind → score; of `duplicate` only where there is a finding."""
    findings: tuple[Finding, ...] = ()
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the line of the report; `from_dict` restores it."""
        return {
            "name": self.name,
            "status": "error" if self.measures is None else "ok",
            "error": self.error,
            "scores": dict(self.scores),
            "findings": [finding.to_dict() for finding in self.findings],
            "measures": None if self.measures is None else self.measures.to_dict(),
        }

    @classmethod
    def from_dict(cls, line: Mapping[str, Any]) -> Examined:
        """Build from `to_dict`, also after JSON."""
        measures = None if line["measures"] is None else Measures.from_dict(line["measures"])
        found = tuple(Finding.from_dict(finding) for finding in line["findings"])
        return cls(line["name"], measures, line["scores"], found, line["error"])


@dataclass(frozen=True)
class Examination:
    """Every picture of a source with its findings, in the order of their names."""

    folder: Path
    settings: Mapping[str, Any]
    """What the examination was told, as `ExamineConfig.to_dict`."""
    pictures: tuple[Examined, ...]

    @classmethod
    def load(cls, folder: Path | str) -> Examination:
        """Return what `examine` wrote into a folder. Raises DataError for one without a report, or a damaged one."""
        folder = Path(folder)
        hint = f"Examine the pictures: python -m ganlib examine --source … --outdir {folder}"
        try:
            settings = read_json(folder / SETTINGS_NAME)
            with open_regular(folder / REPORT_NAME, max_bytes=MOST_LINES_BYTES) as lines:
                pictures = tuple(Examined.from_dict(json.loads(line)) for line in lines)
        except OSError as error:
            raise DataError(f"{folder} holds no examination: {error.strerror or error}", hint) from error
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"the report in {folder} is damaged: {error}", hint) from error
        return cls(folder, settings, pictures)

    def groups(self) -> dict[str, list[tuple[str, Finding]]]:
        """Return, for each kind that was found, names and findings; the clearest first, copies by what they are of."""
        found: dict[str, list[tuple[str, Finding]]] = {}
        for picture in self.pictures:
            for finding in picture.findings:
                found.setdefault(finding.kind, []).append((picture.name, finding))
        for kind, group in found.items():
            group.sort(key=lambda pair: (pair[1].partners, -abs(pair[1].score - pair[1].threshold), pair[0]))
            if kind == "duplicate":
                best: dict[tuple[str, ...], float] = {}
                for _, finding in group:
                    best[finding.partners] = max(best.get(finding.partners, 0.0), finding.score)
                group.sort(key=lambda pair: (-best[pair[1].partners], pair[1].partners, -pair[1].score, pair[0]))
        return {kind: found[kind] for kind in KINDS if kind in found}

    @property
    def unreadable(self) -> dict[str, str]:
        """Return name → reason of the pictures that could not be read."""
        return {picture.name: picture.error for picture in self.pictures if picture.error}

    def thumbnail(self, name: str) -> bytes:
        """Return the bytes of a small JPEG. Raises DataError for a name that is not known or was not readable."""
        with closing(self._store()) as store:
            picture = store.thumbnail(name)
        if picture is None:
            raise DataError(f"there is no thumbnail of {printable(name)}", "Is it a picture, and readable?")
        return picture

    def exclusions(self, accepted: Collection[str] | None = None) -> dict[str, str]:
        """Return name → reason for `write_exclusions`: of all pictures, or of those names that a person `accepted`.

        None takes every picture with a finding that speaks for leaving it out (`Kind.excludes`). An accepted picture is
        listed whatever was found on it.
        """
        listed = {}
        for picture in self.pictures:
            if accepted is not None and picture.name not in accepted:
                continue
            reasons = [_reason(f) for f in picture.findings if accepted is not None or KINDS[f.kind].excludes]
            if reasons or accepted is not None:
                listed[picture.name] = "; ".join(reasons)
        return listed

    def write(self) -> list[Path]:
        """Write report, page, list and settings into the folder, and return their paths."""
        paths = [self.folder / name for name in (REPORT_NAME, PAGE_NAME, LIST_NAME, SETTINGS_NAME)]
        lines = (json.dumps(picture.to_dict()) + "\n" for picture in self.pictures)
        write_bytes(paths[0], "".join(lines).encode())
        title = f"Examination of {Path(str(self.settings['source'])).name}"
        with closing(self._store()) as store:
            page = as_page(title, len(self.pictures), self.groups(), self.unreadable, store.thumbnail)
        write_bytes(paths[1], page.encode())
        write_exclusions(paths[2], self.exclusions())
        write_bytes(paths[3], (json.dumps(dict(self.settings), indent=1) + "\n").encode())
        return paths

    def _store(self) -> Store:
        return Store(self.folder / FILE_NAME)

    def __str__(self) -> str:
        """Return a few lines for people."""
        counts = Counter(finding.kind for picture in self.pictures for finding in picture.findings)
        lines = [f"{len(self.pictures)} pictures examined"]
        lines += [f"{counts[kind]:6d} {row.words}" for kind, row in KINDS.items() if counts[kind]]
        if self.unreadable:
            lines.append(f"{len(self.unreadable):6d} unreadable")
        listed = len(self.exclusions())
        return "\n".join([*lines, f"{listed} in {self.folder / LIST_NAME}; look at {self.folder / PAGE_NAME}"])


def _reason(finding: Finding) -> str:
    of = f" of {finding.partners[0]}" if finding.partners else ""
    return f"{KINDS[finding.kind].words}: {finding.words}{of}"
