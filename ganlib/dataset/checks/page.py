"""The report of an examination as one HTML file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ganlib.base.reports import document, figure, safe
from ganlib.dataset.checks.findings import KINDS, Finding

SHOWN = 240  # pictures of one kind; the rest is counted, and is in report.jsonl


def as_page(
    title: str,
    num_pictures: int,
    groups: Mapping[str, Sequence[tuple[str, Finding]]],
    unreadable: Mapping[str, str],
    thumbnail: Callable[[str], bytes | None],
) -> str:
    """Return the HTML text. `groups` holds, for each kind, the pictures with their findings, worst first."""
    lines = [
        f'<h1>{safe(title)}</h1><p><span class="number">{num_pictures}</span> pictures were looked at. Nothing was ',
        "changed or deleted. <code>exclude.txt</code> beside this page lists what the checks would leave out: delete ",
        "lines to keep pictures, then give it to <code>prepare --exclude</code>.</p>",
        "<table>",
    ]
    for kind, found in groups.items():
        words = safe(KINDS[kind].words)
        lines.append(f'<tr><td class="number">{len(found)}</td><td><a href="#{safe(kind)}">{words}</a></td></tr>')
    if unreadable:
        lines.append(f'<tr><td class="number">{len(unreadable)}</td><td><a href="#unreadable">unreadable</a></td></tr>')
    lines.append("</table>")
    if not groups and not unreadable:
        lines.append("<p>Nothing stands out.</p>")
    for kind, found in groups.items():
        lines.append(f'<h2 id="{safe(kind)}">{safe(KINDS[kind].words.capitalize())}</h2>')
        more = f"; the first {SHOWN} are shown" if len(found) > SHOWN else ""
        words = f"picture{'s' * (len(found) > 1)}, threshold {found[0][1].threshold:g}{more}"
        lines.append(f'<p><span class="number">{len(found)}</span> {words}</p>')
        lines.append('<div class="wall">')
        lines += _copies(found[:SHOWN], thumbnail) if kind == "duplicate" else _wall(found[:SHOWN], thumbnail)
        lines.append("</div>")
    if unreadable:
        lines.append('<h2 id="unreadable">Unreadable</h2><ul>')
        lines += [f"<li><code>{safe(name)}</code>: {safe(reason)}</li>" for name, reason in unreadable.items()]
        lines.append("</ul>")
    return document(title, lines)


def _wall(found: Sequence[tuple[str, Finding]], thumbnail: Callable[[str], bytes | None]) -> list[str]:
    return [figure(name, finding.words, thumbnail(name)) for name, finding in found]


def _copies(found: Sequence[tuple[str, Finding]], thumbnail: Callable[[str], bytes | None]) -> list[str]:
    """Each picture that stays, with its copies beside it."""
    groups: dict[str, list[tuple[str, Finding]]] = {}
    for name, finding in found:
        groups.setdefault(finding.partners[0], []).append((name, finding))
    lines = []
    for kept, copies in groups.items():
        lines += ['<div class="group">', figure(kept, "stays", thumbnail(kept)), *_wall(copies, thumbnail), "</div>"]
    return lines
