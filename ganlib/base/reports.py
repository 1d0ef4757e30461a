"""Reports as one HTML file that needs nothing else: pictures are inside, there are no scripts.

Names of files come from strangers. They are escaped, their unprintable characters are replaced, and a page forbids
itself everything but its own style and the pictures in it.
"""

from __future__ import annotations

import base64
import html

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


def document(title: str, body: list[str], *, style: str = "") -> str:
    """Return a whole page with these lines of HTML in it; `style` is added to the house's."""
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{safe(title)}</title><style>{_STYLE}{style}</style></head><body>",
            *body,
            "</body></html>",
            "",
        ]
    )


def figure(name: str, words: str, picture: bytes | None) -> str:
    """Return the HTML of a picture, the bytes of a JPEG, over its name and a few words; None leaves its place empty."""
    source = f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}" if picture else ""
    image = f'<img loading="lazy" alt="" src="{source}">' if source else ""
    return f"<figure>{image}<figcaption>{safe(name)}<br><span>{safe(words)}</span></figcaption></figure>"


def safe(text: str) -> str:
    """Return a stranger's text as HTML that shows it."""
    return html.escape(printable(text))


def printable(text: str) -> str:
    """Return `text` without line breaks, control characters and what is no character at all."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
