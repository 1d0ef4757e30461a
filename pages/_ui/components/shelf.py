"""The model picker: one card with a picture for each model."""

from collections.abc import Sequence
from dataclasses import dataclass

from pages._ui.components.mount import data_url, declare, mount

_component = declare("shelf")


@dataclass(frozen=True)
class ModelCard:
    """What a card says about one model."""

    id: str
    name: str
    facts: str
    """A short line in mono: side in pixels, thousands of pictures seen."""
    about: str
    """Longer words, shown on hover."""
    monogram: str
    """Stands in for the picture where there is none."""
    picture: bytes | None = None
    """Picture bytes."""


def model_shelf(models: Sequence[ModelCard], chosen: str, *, key: str) -> str | None:
    """Show the cards with `chosen` marked; return the id of another one when a person picks it, else None."""
    rows = [
        {
            "id": model.id,
            "name": model.name,
            "facts": model.facts,
            "about": model.about,
            "monogram": model.monogram,
            "src": data_url(model.picture) if model.picture else None,
        }
        for model in models
    ]
    data = {"models": rows, "chosen": chosen}
    picked = mount(_component, key=key, data=data, hears={}, returns={"choose": str})["choose"]
    return picked if picked in {model.id for model in models} else None
