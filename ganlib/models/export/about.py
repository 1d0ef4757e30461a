"""What an exported file says of its model: the card's facts as strings, and as a text for people."""

from __future__ import annotations

import json

from ganlib import __version__
from ganlib.models import rights
from ganlib.models.checkpoints import Checkpoint

KEY = "latent-atelier"
"""Name of the facts in files that hold other things too."""


def facts_of(card: Checkpoint) -> dict[str, str]:
    """Return title, licence, data, source, digest, parents (JSON) and the program that wrote the file."""
    facts = {
        "title": card.title, "licence": card.licence or "unknown", "data": card.data, "source": card.source,
        "digest": card.digest, "created": card.created, "exported_by": f"Latent Atelier {__version__}",
    }  # fmt: skip
    if card.parents:
        facts["parents"] = json.dumps([dict(parent) for parent in card.parents])
    return facts


def licence_text(card: Checkpoint) -> str:
    """Return the text that lies beside an exported file: what it is, whose data made it, what may be done with it."""
    rows = [
        ("Licence", card.licence or "unknown"), ("Training data", card.data or "not said"),
        ("Source", card.source or "not said"), ("Digest", card.digest),
    ]  # fmt: skip
    rows += [
        ("Blended from", f"{p.get('title', '')} ({p.get('licence', '') or 'unknown'}), digest {p.get('digest', '')}")
        for p in card.parents
    ]
    lines = [card.title, "", rights.rights_words(card.licence), "", *(f"{name}: {text}" for name, text in rows)]
    return "\n".join(" ".join(line.split()) for line in lines) + "\n"
