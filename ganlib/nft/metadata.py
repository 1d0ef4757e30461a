"""What each piece's JSON says, where its files lie, and the schemas of the two standards."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from ganlib.base.errors import InputError
from ganlib.latents.recipes import Recipe
from ganlib.media.images import PICTURE_FORMATS
from ganlib.models.checkpoints import Checkpoint
from ganlib.models.rights import read_licence, rights_words
from ganlib.nft.config import MOST_NAME, NftConfig, fill

SCHEMAS = ("erc721", "metaplex")
TYPES = {suffix: row.media_type for row in PICTURE_FORMATS.values() for suffix in row.suffixes} | {".mp4": "video/mp4"}
_FOLDERS = {"image": "images", "animation": "animations", "metadata": "metadata"}


@dataclass(frozen=True)
class Places:
    """Where the files of a collection lie below its folder."""

    root: Path
    layout: str
    """`plain` or `folders`."""
    suffix: str = ".png"
    """Of the pictures."""

    def name(self, kind: str, number: int) -> str:
        """Return the path below the root of a piece's `image`, `animation` or `metadata`, with `/`."""
        file = f"{number}{self.suffix if kind == 'image' else '.mp4' if kind == 'animation' else '.json'}"
        return file if self.layout == "plain" else f"{_FOLDERS[kind]}/{file}"

    def path(self, kind: str, number: int) -> Path:
        """Return the same as a path."""
        return self.root / self.name(kind, number)

    def make(self, kinds: tuple[str, ...]) -> None:
        """Make the folders."""
        self.root.mkdir(parents=True, exist_ok=True)
        if self.layout == "folders":
            for kind in kinds:
                (self.root / _FOLDERS[kind]).mkdir(exist_ok=True)

    def uri(self, kind: str, number: int, *, base_uri: str, folder_cid: str, file_cid: str) -> str:
        """Return the address under which a file will be found: below `base_uri`, else on IPFS."""
        if base_uri:
            return f"{base_uri.rstrip('/')}/{self.name(kind, number)}"
        if self.layout == "folders":
            return f"ipfs://{folder_cid}/{self.name(kind, number).rpartition('/')[2]}"
        return f"ipfs://{file_cid}"


def rights_of(card: Checkpoint) -> dict[str, Any]:
    """Return what goes into each item of the rights in a model and its data."""
    licence = read_licence(card.licence)
    rights: dict[str, Any] = {
        "model": card.title,
        "model_digest": card.digest,
        "licence": licence.id if licence.id != "unknown" else card.licence or "unknown",
        "may_be_sold": licence.commercial,
        "words": rights_words(card.licence),
        "training_data": card.data or "not known",
        "made_with": "a generative adversarial network (Latent Atelier)",
    }
    if card.source:
        rights["source"] = card.source
    if card.parents:
        rights["parents"] = [dict(parent) for parent in card.parents]
    return rights


def check_rights(card: Checkpoint, *, allowed: bool) -> str:
    """Return a warning, empty where pictures may be sold. Raises `InputError` where they must not be, unless
    `allowed`."""
    licence, words = read_licence(card.licence), rights_words(card.licence)
    if licence.commercial is False and not allowed:
        hint = "choose a model that may be sold, or go on with --allow-noncommercial and never sell the pieces"
        raise InputError(f"{card.title}: {words}", hint)
    if licence.commercial is False:
        return f"WARNING, not for sale: {words}"
    return "" if licence.commercial else f"WARNING: {words}"


def words_of(
    config: NftConfig, number: int, count: int, recipe: Recipe, traits: Mapping[str, str], rank: int
) -> dict[str, str | int]:
    """Return the words that templates may use for a piece."""
    seed = recipe.seeds[0][0] if recipe.seeds and recipe.base is None else recipe.caption()
    words: dict[str, str | int] = {"collection": config.collection, "number": number, "count": count}
    return {**traits, **words, "seed": seed, "rank": rank}


def fill_template(config: NftConfig, words: Mapping[str, str | int]) -> tuple[str, str, str]:
    """Return name, description and page of a piece. Raises `InputError` for a template with an unknown word, for a name
    that is too long, and for a page that is no address."""
    name = fill(config.name, words, "name")
    if config.wants_metaplex and len(name) > MOST_NAME:
        hint = "shorten --name or --collection, or use --standard erc721"
        raise InputError(f"the name '{name[:60]}' has {len(name)} characters; Metaplex holds {MOST_NAME}", hint)
    page = fill(config.external_url, words, "external_url")
    if page and not re.fullmatch(r"https?://\S+", page):
        raise InputError(f"'{page[:80]}' is no address of a page", "begin --external-url with https://")
    return name, fill(config.description, words, "description"), page


def item_of(
    config: NftConfig,
    words: Mapping[str, str | int],
    *,
    recipe: Recipe,
    traits: Mapping[str, str],
    image_uri: str,
    animation_uri: str,
    sha256: str,
    rights: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the JSON of a piece. Raises `InputError` as `fill_template`."""
    name, description, page = fill_template(config, words)
    files = [{"uri": image_uri, "type": TYPES[config.suffix]}]
    item: dict[str, Any] = {"name": name, "description": description}
    if config.wants_metaplex:
        item["symbol"] = config.symbol
        item["seller_fee_basis_points"] = config.royalty
    item["image"] = image_uri
    if animation_uri:
        item["animation_url"] = animation_uri
        files.append({"uri": animation_uri, "type": TYPES[".mp4"]})
    if page:
        item["external_url"] = page
    item["attributes"] = [{"trait_type": trait, "value": value} for trait, value in traits.items()]
    properties: dict[str, Any] = {}
    if config.wants_metaplex:
        item["collection"] = {"name": config.collection, "family": config.collection}
        properties["files"] = files
        properties["category"] = "video" if animation_uri else "image"
    if creators := config.creator_shares():
        properties["creators"] = [{"address": address, "share": share} for address, share in creators]
    properties |= {"number": words["number"], "sha256": sha256, "recipe": recipe.to_dict(), "rights": dict(rights)}
    item["properties"] = properties
    return item


def standards(standard: str) -> tuple[str, ...]:
    """Return the schemas that metadata of a standard must satisfy."""
    return SCHEMAS if standard == "both" else (standard,)


@cache
def validator(schema: str) -> Any:
    """Return the validator of `erc721` or `metaplex`."""
    text = (Path(__file__).parent / "schemas" / f"{schema}.json").read_text(encoding="utf-8")
    return jsonschema.Draft202012Validator(json.loads(text))


def schema_errors(item: Any, standard: str) -> list[str]:
    """Return what is wrong with a piece's JSON by a standard: `erc721`, `metaplex` or `both`."""
    found = []
    for schema in standards(standard):
        for error in sorted(validator(schema).iter_errors(item), key=lambda error: list(map(str, error.path))):
            where = "/".join(map(str, error.path)) or "the whole"
            found.append(f"{schema}: {where}: {error.message[:160]}")
    return found
