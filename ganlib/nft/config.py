"""Everything that a collection is told. The command line and the wizard's form are made from this dataclass."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from string import Formatter
from typing import Any, Literal

from ganlib.base.errors import InputError
from ganlib.base.options import Options, option
from ganlib.latents.favourites import load_favourites
from ganlib.latents.recipes import Recipe, parse_seeds
from ganlib.media.images import PICTURE_FORMATS
from ganlib.nft.traits import TRAITS

MOST_PIECES = 50_000
MOST_NAME = 32
"""Characters of a name, and 10 of a symbol, that a Metaplex token holds."""
MOST_SYMBOL = 10
NO_SYMBOL = "Metaplex expects a symbol, the short name that wallets show, and there is none"
NO_CREATORS = (
    "Metaplex expects creators, and there are none: marketplaces cannot say whose the pieces are, and a royalty has "
    "nowhere to go"
)
_BASE_URI = re.compile(r"(ipfs://[A-Za-z0-9]{46,}(/[^\s?#]*)?|ar://[\w-]{43}(/[^\s?#]*)?|https://[^\s?#]+)")
_TARGET = re.compile(r"(.+?)=(.+):([0-9.]+)(%?)")
_WORDS = ("collection", "number", "count", "seed", "rank")
_WORDS_HINT = f"use {{{'}, {'.join(_WORDS)}}} or a trait's name, such as {{Main colour}}; {{{{ is a brace"

STANDARDS = {"both": "OpenSea and Metaplex", "erc721": "OpenSea (ERC-721)", "metaplex": "Metaplex (Solana)"}
LAYOUTS = {"plain": "side by side", "folders": "in folders by kind"}


@dataclass(frozen=True)
class NftConfig(Options):
    """Options of one collection. The same options give the same bytes on the same machine."""

    network: Path = option(Path(), "a model file, or a name in checkpoints/", is_model=True, metavar="MODEL")
    seeds: str = option("", "candidates, such as 0-99 or 1,5,9-12")
    favourites: tuple[str, ...] = option((), "candidates: ids of favourites of the model, or all")
    recipes: tuple[str, ...] = option(
        (), "candidates: recipes as JSON; favourites come first, then these, then seeds", is_flag=False
    )
    outdir: Path = option(Path("drop"), "where the collection goes")
    count: int | None = option(None, "pieces wanted; none takes every candidate that passes", low=1, high=MOST_PIECES)
    floor: float = option(
        0.0,
        "likeness floor, 0 to 1: no two pieces closer in features than this share of two candidates' usual distance",
        low=0,
        high=1,
    )
    features: str = option("auto", "features that likeness is measured in, as for metrics")
    psi: float = option(1.0, "truncation of seeds", low=-2, high=2, usual=(0, 1.2))
    psi_to: float | None = option(None, "then each seed has its own, drawn between --psi and this", low=-2, high=2)
    label: int | None = option(None, "class of seeds, for a model with labels", flag="class", low=0)
    size: int | None = option(None, "side of the pictures in pixels; none is the model's", low=16, high=8192)
    picture: Literal["png", "jpeg"] = option("png", "format of the pictures")
    traits: tuple[str, ...] = option(tuple(TRAITS), "what is looked at", choices=TRAITS)
    clusters: int = option(6, "groups that the pieces fall into", low=1, high=32)
    cluster_names: tuple[str, ...] = option((), "what they are called, the largest first")
    targets: tuple[str, ...] = option((), "wanted shares, such as Cluster=A:10%")
    collection: str = option("Untitled", "name of the collection")
    name: str = option("{collection} #{number}", "template of a piece's name")
    description: str = option(
        "",
        "template of its description; knows {collection}, {number}, {seed}, {rank} and traits, such as {Main colour}",
    )
    symbol: str = option("", "short name for wallets, 10 letters at most")
    creators: tuple[str, ...] = option(
        (), "address:share,… with shares that add up to 100: a fact in the metadata, nothing is paid"
    )
    royalty: int = option(
        0, "in hundredths of a per cent: a fact in the metadata, marketplaces may ignore it", low=0, high=10_000
    )
    external_url: str = option("", "template of a page about the piece")
    base_uri: str = option(
        "", "where the files will lie: ipfs://CID or https://…; empty gives them their own IPFS addresses"
    )
    start: int = option(0, "number of the first piece", low=0, high=10**9)
    standard: str = option("both", "of the metadata; both makes files that satisfy the two", choices=STANDARDS)
    layout: str = option(
        "plain",
        "plain puts N.png, N.json and N.mp4 side by side; folders into images, metadata and animations",
        choices=LAYOUTS,
    )
    seconds: float = option(0.0, "length of a looped film of each piece; 0 makes none", low=0, high=60, usual=(0, 10))
    fps: float = option(24.0, "its frames per second", low=1, high=120)
    reach: float = option(0.25, "how far the film goes towards other pictures, 0 to 1", low=0, high=1)
    mark_ai: bool = option(True, "say inside each picture that a trained model made it (IPTC digital source type, XMP)")
    allow_noncommercial: bool = option(
        False, "go on with a model whose licence forbids sale: such a collection must not be sold"
    )
    workers: int = option(1, "processes that render", low=1, high=64)
    device: str = option("auto", "auto, cpu, cuda or mps")

    def check(self) -> None:
        if not (self.seeds.strip() or self.favourites or self.recipes):
            raise InputError("there are no candidates", "name seeds, such as --seeds 0-99, or favourites")
        if 0 < self.seconds < 0.5:
            raise InputError(f"films of {self.seconds:g} seconds", "give 0 for none, or 0.5 or more")
        if not self.collection.strip():
            raise InputError("the collection has no name", "give it one with --collection")
        for name in ("name", "description", "external_url"):
            words_in(getattr(self, name), name)
        if not self.name.strip():
            raise InputError("the template of names is empty", "use {collection} #{number}")
        if self.base_uri and not _BASE_URI.fullmatch(self.base_uri):
            hint = "write ipfs://CID, ipfs://CID/folder, ar://ID or https://site/folder, or leave it empty"
            raise InputError(f"'{self.base_uri[:80]}' is no base address", hint)
        if self.wants_metaplex and len(self.symbol) > MOST_SYMBOL:
            raise InputError(f"the symbol '{self.symbol[:20]}' is too long", f"use {MOST_SYMBOL} letters at most")
        self.creator_shares()
        self.target_shares()

    @property
    def wants_metaplex(self) -> bool:
        """Whether the metadata follow Metaplex's standard."""
        return self.standard != "erc721"

    def advice(self) -> list[str]:
        """Return what is allowed but will be missed after minting, in words; `advise_drop` says it of a folder."""
        missing = ((self.symbol, NO_SYMBOL), (self.creators, NO_CREATORS)) if self.wants_metaplex else ()
        return [words for value, words in missing if not value]

    @property
    def suffix(self) -> str:
        """Of the pictures' file names, with its dot."""
        return PICTURE_FORMATS[self.picture].suffixes[0]

    def creator_shares(self) -> list[tuple[str, int]]:
        """Return the address and share in per cent of each creator. Raises `InputError`."""
        found = []
        for text in self.creators:
            address, colon, share = text.rpartition(":")
            address, share = (address, share) if colon else (text, "100" if len(self.creators) == 1 else "")
            if not re.fullmatch(r"[A-Za-z0-9.]{3,64}", address) or not share.isdigit() or not 0 <= int(share) <= 100:
                raise InputError(f"'{text[:80]}' is no creator and share", "write ADDRESS:SHARE, such as 0xabc…:100")
            found.append((address, int(share)))
        if found and sum(share for _, share in found) != 100:
            total = sum(share for _, share in found)
            raise InputError(f"the creators' shares add up to {total}", "let them add up to 100")
        return found

    def target_shares(self) -> list[tuple[str, str, float]]:
        """Return (trait, value, wanted share of 0 to 1) of each target. Raises `InputError`."""
        found = []
        for text in self.targets:
            match = _TARGET.fullmatch(text.strip())
            share = float(match[3]) / (100 if match[4] else 1) if match and match[3].count(".") < 2 else -1.0
            if match is None or not 0 <= share <= 1:
                raise InputError(f"'{text[:80]}' is no target", "write Trait=Value:SHARE, such as Cluster=A:10%")
            found.append((match[1].strip(), match[2].strip(), share))
        return found

    def drawing(self) -> dict[str, Any]:
        """Return the options that decide pictures, films and their names; the others are words about them."""
        names = ("count", "floor", "size", "picture", "seconds", "fps", "reach", "start", "layout", "mark_ai")
        return {name: getattr(self, name) for name in names}

    def candidates(self, folder: Path) -> list[Recipe]:
        """Return the recipes to choose from, each once: favourites (in the model's `folder`), recipes, seeds.

        A seed's psi between two bounds is drawn from the seed alone. Raises `InputError` for unknown favourites.
        """
        found = _favourites(folder, self.favourites) if self.favourites else []
        found += [Recipe.from_json(text) for text in self.recipes]
        for seed in parse_seeds(self.seeds) if self.seeds.strip() else []:
            found.append(Recipe.of_seed(seed, psi=self._psi_of(seed), label=self.label))
        for recipe in found:
            recipe.validate()
        unique = list(dict.fromkeys(found))
        if len(unique) > MOST_PIECES:
            raise InputError(f"{len(unique):,} candidates", f"give {MOST_PIECES:,} at most")
        if self.count is not None and self.count > len(unique):
            hint = "name more seeds or favourites, or ask for fewer pieces"
            raise InputError(f"{self.count} pieces of {len(unique)} different candidates", hint)
        return unique

    def _psi_of(self, seed: int) -> float:
        if self.psi_to is None:
            return self.psi
        share = int.from_bytes(sha256(f"psi {seed}".encode()).digest()[:6], "big") / 2**48
        return round(self.psi + share * (self.psi_to - self.psi), 3)


def _favourites(folder: Path, ids: Sequence[str]) -> list[Recipe]:
    kept = {favourite.id: favourite.recipe for favourite in load_favourites(folder)}
    if not kept:
        raise InputError("this model has no favourites", "mark some in the Gallery, or name seeds")
    if tuple(ids) == ("all",):
        return list(kept.values())
    for id in ids:
        if id not in kept:
            known = ", ".join(list(kept)[:12])
            raise InputError(f"there is no favourite '{id[:40]}'", f"there are: {known}")
    return [kept[id] for id in ids]


# --- templates --------------------------------------------------------------------------------------------------------


def words_in(template: str, what: str = "template") -> list[str]:
    """Return the names in braces of a template. Raises `InputError` for one that cannot be filled."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise InputError(f"{what} '{template[:60]}' cannot be read: {error}", _WORDS_HINT) from error
    for _, word, form, conversion in parts:
        if word is not None and (not word or conversion or not re.fullmatch(r"(0?\d{1,2})?", form or "")):
            raise InputError(f"{what} '{template[:60]}' has a word that is not possible", _WORDS_HINT)
    return [word for _, word, _, _ in parts if word]


def fill(template: str, words: Mapping[str, str | int], what: str = "template") -> str:
    """Return the template with its words replaced; `{number:04}` writes a number with zeros before it.

    A trait is found by its name in any case. Raises `InputError` for a word that there is not.
    """
    known = {key.lower(): value for key, value in words.items()}
    out = []
    for text, word, form, _ in Formatter().parse(template):
        out.append(text)
        if word is None:
            continue
        if word.lower() not in known:
            raise InputError(f"{what} has the unknown word {{{word[:40]}}}", f"there are {', '.join(words)}")
        value = known[word.lower()]
        out.append(format(value, f"{form}d") if form and isinstance(value, int) else str(value))
    return "".join(out)
