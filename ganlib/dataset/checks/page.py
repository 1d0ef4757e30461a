"""The report as one HTML file that needs nothing else: pictures are inside, there are no scripts.

The names of pictures come from strangers. They are escaped, their unprintable characters are replaced, and the page
forbids itself everything but its own style and the pictures in it.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Mapping, Sequence

from ganlib.dataset.checks.findings import KINDS, Finding

SHOWN = 240  # pictures of one kind; the rest is counted, and is in report.jsonl
_STYLE = """
:root { --paper: #FAF7F2; --ink: #1F1B16; --line: #E6DFD3; --accent: #C8452D; --soft: #6B6257; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #161412; --ink: #EDE7DD; --line: #2C2825; --accent: #E4674B; --soft: #A79D90; } }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 1180px; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1, h2 { font-family: Georgia, serif; font-weight: 600; line-height: 1.2; } h1 { margin: 0 0 .25rem; }
h2 { margin: 2.5rem 0 .25rem; padding-top: 1.25rem; border-top: 1px solid var(--line); font-size: 1.3rem; }
p { margin: 0 0 .75rem; color: var(--soft); } a { color: var(--accent); }
.number, figcaption { font-family: ui-monospace, monospace; } .number { color: var(--accent); }
.wall { display: flex; flex-wrap: wrap; gap: 12px; align-items: flex-start; }
.group { display: flex; gap: 4px; padding: 6px; border: 1px solid var(--line); border-radius: 4px; }
figure { margin: 0; width: 124px; } figure img { display: block; width: 100%; height: 140px; object-fit: contain; }
figcaption { font-size: 11px; line-height: 1.35; overflow-wrap: anywhere; } figcaption span { color: var(--soft); }
table { border-collapse: collapse; } td, th { padding: .15rem 1rem .15rem 0; text-align: left; font-weight: 400; }
ul { padding-left: 1.2rem; } li { overflow-wrap: anywhere; }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def printable(text: str) -> str:
    """Return `text` without line breaks, control characters and what is no character at all."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def as_page(
    title: str,
    num_pictures: int,
    groups: Mapping[str, Sequence[tuple[str, Finding]]],
    unreadable: Mapping[str, str],
    thumbnail: Callable[[str], bytes | None],
) -> str:
    """Return the HTML text. `groups` holds, for each kind, the pictures with their findings, worst first."""
    lines = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_safe(title)}</title><style>{_STYLE}</style></head><body>",
        f'<h1>{_safe(title)}</h1><p><span class="number">{num_pictures}</span> pictures were looked at. Nothing was ',
        "changed or deleted. <code>exclude.txt</code> beside this page lists what the checks would leave out: delete ",
        "lines to keep pictures, then give it to <code>prepare --exclude</code>.</p>",
        "<table>",
    ]
    for kind, found in groups.items():
        words = _safe(KINDS[kind])
        lines.append(f'<tr><td class="number">{len(found)}</td><td><a href="#{_safe(kind)}">{words}</a></td></tr>')
    if unreadable:
        lines.append(f'<tr><td class="number">{len(unreadable)}</td><td><a href="#unreadable">unreadable</a></td></tr>')
    lines.append("</table>")
    if not groups and not unreadable:
        lines.append("<p>Nothing stands out.</p>")
    for kind, found in groups.items():
        lines.append(f'<h2 id="{_safe(kind)}">{_safe(KINDS[kind].capitalize())}</h2>')
        more = f"; the first {SHOWN} are shown" if len(found) > SHOWN else ""
        words = f"picture{'s' * (len(found) > 1)}, threshold {found[0][1].threshold:g}{more}"
        lines.append(f'<p><span class="number">{len(found)}</span> {words}</p>')
        lines.append('<div class="wall">')
        lines += _copies(found[:SHOWN], thumbnail) if kind == "duplicate" else _wall(found[:SHOWN], thumbnail)
        lines.append("</div>")
    if unreadable:
        lines.append('<h2 id="unreadable">Unreadable</h2><ul>')
        lines += [f"<li><code>{_safe(name)}</code>: {_safe(reason)}</li>" for name, reason in unreadable.items()]
        lines.append("</ul>")
    return "\n".join([*lines, "</body></html>", ""])


def _wall(found: Sequence[tuple[str, Finding]], thumbnail: Callable[[str], bytes | None]) -> list[str]:
    return [_figure(name, finding.words, thumbnail(name)) for name, finding in found]


def _copies(found: Sequence[tuple[str, Finding]], thumbnail: Callable[[str], bytes | None]) -> list[str]:
    """Each picture that stays, with its copies beside it."""
    groups: dict[str, list[tuple[str, Finding]]] = {}
    for name, finding in found:
        groups.setdefault(finding.partners[0], []).append((name, finding))
    lines = []
    for kept, copies in groups.items():
        lines += ['<div class="group">', _figure(kept, "stays", thumbnail(kept)), *_wall(copies, thumbnail), "</div>"]
    return lines


def _figure(name: str, words: str, picture: bytes | None) -> str:
    source = f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}" if picture else ""
    image = f'<img loading="lazy" alt="" src="{source}">' if source else ""
    return f"<figure>{image}<figcaption>{_safe(name)}<br><span>{_safe(words)}</span></figcaption></figure>"


def _safe(text: str) -> str:
    return html.escape(printable(text))
