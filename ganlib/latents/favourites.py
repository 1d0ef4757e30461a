"""Favourites: recipes kept beside their checkpoint, in `checkpoints/NAME/favourites.json`."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ganlib.base.errors import DataError, InputError
from ganlib.base.filesystem import reason
from ganlib.latents.recipes import Recipe
from ganlib.runs import write_json
from ganlib.runs.files import read_json

_favourites_lock = threading.Lock()


@dataclass(frozen=True)
class Favourite:
    """A recipe kept beside its checkpoint."""

    id: str
    """Short hash of the recipe."""
    recipe: Recipe
    name: str = ""
    """What a person called it; may be empty."""
    added: str = ""
    """When, in UTC, ISO 8601."""


def load_favourites(folder: Path) -> list[Favourite]:
    """Return the favourites in `folder/favourites.json`, oldest first; none if there is no such file.

    Raises DataError, and leaves the file alone, if it is damaged.
    """
    path = Path(folder) / "favourites.json"
    try:
        rows = read_json(path)["favourites"]
        recipes = [Recipe.from_dict(row["recipe"]) for row in rows]
        texts = [(str(row.get("name", "")), str(row.get("added", ""))) for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InputError) as error:
        message = f"{path} is damaged: {reason(error)}"
        raise DataError(message, "Mend it in a text editor, or rename it to begin a new list.") from error
    return [Favourite(_recipe_id(recipe), recipe, *text) for recipe, text in zip(recipes, texts, strict=True)]


def add_favourite(folder: Path, recipe: Recipe, name: str = "") -> Favourite:
    """Keep a recipe in `folder` (made if need be) and return it. A recipe that is there already gets the new name."""
    recipe.validate()
    added = datetime.now(UTC).isoformat(timespec="seconds")
    favourite = Favourite(_recipe_id(recipe), recipe, name, added)
    with _favourites_lock:
        favourites = load_favourites(folder)
        for i, old in enumerate(favourites):
            if old.id == favourite.id:
                favourite = favourites[i] = replace(old, name=name or old.name)
                break
        else:
            favourites.append(favourite)
        _save_favourites(folder, favourites)
    return favourite


def remove_favourite(folder: Path, id: str) -> None:
    """Forget a favourite; nothing happens if there is none with this id."""
    with _favourites_lock:
        favourites = load_favourites(folder)
        if any(favourite.id == id for favourite in favourites):
            _save_favourites(folder, [favourite for favourite in favourites if favourite.id != id])


def _save_favourites(folder: Path, favourites: list[Favourite]) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    rows = [{"id": f.id, "name": f.name, "added": f.added, "recipe": f.recipe.to_dict()} for f in favourites]
    write_json(Path(folder) / "favourites.json", {"favourites": rows})


def _recipe_id(recipe: Recipe) -> str:
    return hashlib.sha256(recipe.to_json().encode()).hexdigest()[:12]
