"""What a copy check says: sentences, and one HTML file with the nearest pairs side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ganlib.base.reports import document, figure, safe
from ganlib.compare.nearest import SAME
from ganlib.compare.training_set import Reference
from ganlib.media import images

JSONL, PAGE, SUMMARY = "copies.jsonl", "report.html", "summary.json"
SHOWN = 60
"""Pictures of each verdict that the page shows."""
NAMED = 5
"""Pictures that could not be read and are named in a sentence."""
SIDE = 160  # longer side of a picture on the page
WORDS = {"copy": "Copies", "close": "To be looked at", "own": "The nearest of the rest"}
_BINS, _WIDTH, _HEIGHT = 48, 720, 150  # of the drawing
_MOST_TIMES = 2.4  # right end of the drawing
_STYLE = """
.lead { font: 600 1.35rem/1.4 Georgia, serif; color: var(--ink); max-width: 46rem; }
.pair { border: 1px solid var(--line); border-radius: 4px; padding: 8px; box-sizing: border-box; max-width: 100%; }
.pair .row { display: flex; gap: 6px; }
.pair.copy { border-color: var(--accent); } .pair b { font: 600 12px/1.4 ui-monospace, monospace; }
.pair small { font: 12px/1.4 system-ui, sans-serif; color: var(--soft); }
.pair figure { flex: 0 1 112px; width: 112px; min-width: 0; } .pair figure img { height: 112px; }
svg { display: block; max-width: 100%; height: auto; }
svg text { font: 11px ui-monospace, monospace; fill: var(--soft); }
"""

Pictures = Callable[[Sequence[int]], Iterator[np.ndarray]]


def sentences(summary: Mapping[str, Any]) -> list[str]:
    """Return what a check found, in plain sentences; the first one is the answer."""
    count, copies, close = summary["pictures"], summary["copy"], summary["close"]
    times, named = summary["times"], summary["features"]
    if copies:
        first = f"{copies} of {count:,} pictures {'is a copy' if copies == 1 else 'are copies'} of a training picture."
    else:
        first = f"None of {count:,} pictures is a copy of a training picture."
    lines = [first]
    if close:
        lines.append(
            f"{close} {'is' if close == 1 else 'are'} close to a training picture: look at "
            f"{'it' if close == 1 else 'them'}."
        )
    if unread := list(summary.get("unread", ())):  # checks of older versions have none
        more = f" and {len(unread) - NAMED:,} more" if len(unread) > NAMED else ""
        verb = "picture is" if len(unread) == 1 else "pictures are"
        lines.append(f"{len(unread):,} {verb} not checked, for want of a file that can be read: "
                     f"{', '.join(unread[:NAMED])}{more}.")  # fmt: skip
    lines.append(
        f"In pixels, the nearest training picture is as a rule {times['pixels']['median']:.2f} times as far as "
        f"training pictures are from each other, and never under {times['pixels']['lowest']:.2f} times; in features "
        f"({named}) {times['features']['median']:.2f} times, and never under {times['features']['lowest']:.2f}."
    )
    same = summary["sample_with_copies"]
    lines.append(
        f"The measure is {summary['sample']:,} of the {summary['training_pictures']:,} pictures of {summary['data']}"
        + (f"; {same} of them have a copy in the set, which was passed over." if same else ".")
    )
    return lines


def sentence(row: Mapping[str, Any]) -> str:
    """Return what the check says of one picture: how far its nearest training picture is, and what makes it a copy."""
    space = "pixels" if row["pixels"]["times"] <= row["features"]["times"] else "features"
    found = row[space]
    mirrored = ", mirrored" if found["mirrored"] else ""
    far = f"nearest is {found['times']:.2f} times as far ({space}{mirrored}) as training pictures are from each other"
    return f"{why}: {far}" if (why := because(row)) else far


def because(row: Mapping[str, Any]) -> str:
    """Return what makes a picture a copy or close, such as `copy by pixels and structure (0.97)`; empty for others."""
    reason = [str(each) for each in row.get("reason", ())]  # checks of older versions have none
    if not reason:
        return ""
    named = [f"{each} ({row['similarity']:.2f})" if each == "structure" else each for each in reason]
    return f"{row['verdict']} by {', '.join(named[:-1])}{' and ' if len(named) > 1 else ''}{named[-1]}"


def as_page(
    rows: Sequence[Mapping[str, Any]],
    summary: Mapping[str, Any],
    reference: Reference,
    pictures: Pictures,
    training: Callable[[int], np.ndarray],
) -> str:
    """Return the HTML text; `pictures` reads checked pictures by their places, `training` a training picture."""
    found = sentences(summary)
    body = [f"<h1>Copy check of {safe(str(summary['what']))}</h1>", f'<p class="lead">{safe(found[0])}</p>']
    body += [f"<p>{safe(line)}</p>" for line in found[1:]]
    body += ["<h2>How far</h2>", _explained(summary)]
    for place, space in enumerate(("pixels", "features")):
        own, theirs = (reference.pixels, reference.features)[place], [row[space]["times"] for row in rows]
        body.append(_drawing(space, own / max(summary["limits"]["usual"][space], 1e-9), np.array(theirs), summary))
    for verdict, words in WORDS.items():
        chosen = [i for i, row in enumerate(rows) if row["verdict"] == verdict]
        if not chosen:
            continue
        chosen.sort(key=lambda i: (rows[i]["times"], i))
        more = f", the nearest {SHOWN} are shown" if len(chosen) > SHOWN else ""
        body.append(f'<h2>{words}</h2><p><span class="number">{len(chosen)}</span>{more}</p><div class="wall">')
        shown = chosen[:SHOWN]
        for i, picture in zip(shown, pictures(shown), strict=True):
            body.append(_pair(rows[i], _small(picture), training))
        body.append("</div>")
    if unread := summary.get("unread"):
        body.append(f'<h2>Not checked</h2><p><span class="number">{len(unread)}</span> could not be read</p><ul>')
        body += [f"<li>{safe(name)}: {safe(why)}</li>" for name, why in unread.items()]
        body.append("</ul>")
    return document(f"Copy check of {summary['what']}", body, style=_STYLE)


def _explained(summary: Mapping[str, Any]) -> str:
    return (
        "<p>Each picture is held against every training picture, also in a mirror: in <em>features</em>, which a shift "
        f"or another encoding hardly change ({safe(str(summary['features']))}), and in <em>pixels</em>, moved over "
        "each other by up to 6 % of the side. 1 is the usual distance of a training picture to its nearest other one. "
        f"Nearer than all but {summary['copy_percent']:g} % of them is a copy, nearer than all but "
        f"{summary['close_percent']:g} % is to be looked at.</p><p>A picture is a copy, too, however far it is in "
        f"pixels and features, where its fine <em>structure</em> agrees to {SAME:g} or more (1 is the same) with a "
        "training picture that is moved and stretched over it; each copy says below what makes it one.</p>"
    )


def _pair(row: Mapping[str, Any], picture: bytes, training: Callable[[int], np.ndarray]) -> str:
    parts = [figure(str(row["name"]), f"{row['similarity']:.2f} alike in structure", picture)]
    spaces = ["pixels", "features"]
    if row["pixels"]["index"] == row["features"]["index"]:
        spaces = ["pixels"]
    for space in spaces:
        found = row[space]
        words = f"{space if len(spaces) == 2 else 'both'}: {found['times']:.2f}×{' mirrored' * found['mirrored']}"
        seen = training(found["index"])
        parts.append(figure(str(found["nearest"]), words, _small(seen[:, ::-1] if found["mirrored"] else seen)))
    kind = " copy" if row["verdict"] == "copy" else ""
    why = f" <small>{safe(words)}</small>" if (words := because(row)) else ""
    return f'<div class="pair{kind}"><b>{row["times"]:.2f} ×</b>{why}<div class="row">{"".join(parts)}</div></div>'


def _small(pixels: np.ndarray) -> bytes:
    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return images.encode(images.resize(np.ascontiguousarray(pixels), *size), "jpeg", quality=88)


def histogram(times: np.ndarray) -> tuple[list[float], list[float]]:
    """Return the left edges of bins of distances (1 is the usual one) and the share of pictures in each, in percent;
    what lies beyond the last is in it."""
    edges = np.linspace(0, _MOST_TIMES, _BINS + 1)
    counts, _ = np.histogram(np.minimum(times, _MOST_TIMES - 1e-9), edges)
    return edges[:-1].tolist(), (100 * counts / max(1, len(times))).tolist()


def _drawing(space: str, own: np.ndarray, theirs: np.ndarray, summary: Mapping[str, Any]) -> str:
    """Distances of training pictures (filled) and of the checked ones (a line), with the limits, as SVG."""
    limits = summary["limits"]
    _, filled = histogram(own)
    _, line = histogram(theirs)
    top = max(*filled, *line, 1e-9)
    step = _WIDTH / _BINS

    def high(value: float) -> float:
        return round((_HEIGHT - 24) * value / top, 1)

    bars = "".join(
        f'<rect x="{i * step:.1f}" y="{_HEIGHT - 20 - high(value)}" width="{step - 1:.1f}" height="{high(value)}" '
        'fill="var(--line)"/>'
        for i, value in enumerate(filled)
    )
    path = "".join(
        f"{'L' if i else 'M'}{i * step:.1f},{_HEIGHT - 20 - high(v)}H{(i + 1) * step:.1f}" for i, v in enumerate(line)
    )
    marks = "".join(
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{_HEIGHT - 20}" stroke="var(--accent)" stroke-dasharray="3 3"/>'
        f'<text x="{x + anchor:.1f}" y="10" text-anchor="{side}">{name}</text>'
        for name, anchor, side in (("copy", -4, "end"), ("close", 4, "start"))
        for x in [_WIDTH * min(1.0, limits[name][space] / max(limits["usual"][space], 1e-9) / _MOST_TIMES)]
    )
    axis = "".join(
        f'<text x="{_WIDTH * t / _MOST_TIMES:.1f}" y="{_HEIGHT - 5}" text-anchor="middle">{t:g}×</text>'
        for t in (0.5, 1, 1.5, 2)
    )
    title = f"In {space}: training pictures to their nearest other (filled), checked pictures to the nearest (line)"
    return (
        f'<figure style="width:auto"><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img">{bars}'
        f'<path d="{path}" fill="none" stroke="var(--ink)" stroke-width="1.5"/>{marks}{axis}</svg>'
        f"<figcaption>{title}</figcaption></figure>"
    )
