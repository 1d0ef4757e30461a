"""The words of a collection: metadata of each piece, rarity, and the hashes by which anybody can check it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ganlib.latents.recipes import Recipe
from ganlib.nft.candidates import Chooser, Viewer
from ganlib.nft.cid import Link, file_link, folder_link, sha256_of
from ganlib.nft.config import NftConfig
from ganlib.nft.metadata import Places, item_of, rights_of, words_of
from ganlib.nft.traits import Rarity, rarity_of, traits_of
from ganlib.runs import replacing, write_bytes, write_json

ALL, RARITY, RARITY_CSV, PROVENANCE = "_metadata.json", "rarity.json", "rarity.csv", "provenance.json"
_EVERY = 50  # pieces between two words of progress


@dataclass(frozen=True)
class Drop:
    """A collection that is made."""

    root: Path
    pieces: int
    """How many there are; 0 in a process that only helped."""
    cids: Mapping[str, str]
    """IPFS addresses of the folders of images, metadata and animations."""
    provenance_hash: str
    """sha256 over the images' sha256, as text, in mint order."""
    skipped: Mapping[str, int]
    """Candidates left out: `near` another, `copies` of one, and `looked` at in all."""
    missed: tuple[str, ...] = field(default=())
    """Targets that are not met, in words."""

    def reports(self) -> list[Path]:
        """The files about the whole collection."""
        names = (PROVENANCE, RARITY, RARITY_CSV, ALL) if self.pieces else ()
        return [self.root / name for name in names]


def provenance_hash(hashes: Sequence[str]) -> str:
    """Return the sha256 over hashes in hex, written one after the other in mint order."""
    return hashlib.sha256("".join(hashes).encode("ascii")).hexdigest()


def write_words(
    config: NftConfig,
    viewer: Viewer,
    places: Places,
    recipes: Sequence[Recipe],
    chooser: Chooser,
    progress: Callable[[float], None],
) -> Drop:
    """Write everything but pictures and films, `provenance.json` last: where it is, the collection is whole."""
    titles = [direction.title for direction in viewer.directions]
    traits = traits_of(config, viewer.card, titles, recipes, chooser.seen())
    rarity = rarity_of(traits, config.target_shares())
    numbers = range(config.start, config.start + len(recipes))
    kinds = ["image"] + (["animation"] if config.seconds else [])
    links = {kind: [file_link(places.path(kind, number)) for number in numbers] for kind in kinds}
    folders = {kind: _folder(places, kind, numbers, links[kind]) for kind in kinds}
    hashes: dict[str, list[str]] = {"image": [], "animation": [], "metadata": []}
    rights = rights_of(viewer.card)
    links["metadata"] = []
    with replacing(places.root / ALL, durable=False) as temporary, temporary.open("w", encoding="utf-8") as everything:
        everything.write("[")
        for k, number in enumerate(numbers):
            uris = {"animation": ""} | {
                kind: places.uri(
                    kind, number, base_uri=config.base_uri, folder_cid=str(folders[kind]), file_cid=str(links[kind][k])
                )
                for kind in kinds
            }
            for kind in kinds:
                hashes[kind].append(sha256_of(places.path(kind, number)))
            words = words_of(config, number, len(recipes), recipes[k], traits[k], rarity.ranks[k])
            item = item_of(
                config, words, recipe=recipes[k], traits=traits[k], image_uri=uris["image"],
                animation_uri=uris["animation"], sha256=hashes["image"][-1], rights=rights,
            )  # fmt: skip
            path = places.path("metadata", number)
            write_json(path, item, durable=False)
            links["metadata"].append(file_link(path))
            hashes["metadata"].append(sha256_of(path))
            everything.write(("," if k else "") + "\n" + json.dumps(item, ensure_ascii=False))
            if k % _EVERY == 0:
                progress(k)
        everything.write("\n]\n")
    folders["metadata"] = _folder(places, "metadata", numbers, links["metadata"])
    _write_rarity(places.root, numbers, traits, rarity)
    skipped = {"near": len(chooser.near), "copies": chooser.copies, "looked": chooser.looked}
    cids = {places_word: str(folders[kind]) for kind, places_word in _FOLDER_WORDS.items() if kind in folders}
    drop = Drop(
        places.root, len(recipes), cids, provenance_hash(hashes["image"]), skipped,
        tuple(f"{row.trait} = {row.value}: {row.share:.1%} where {row.wanted:.1%} was wanted"
              for row in rarity.table if row.is_met is False),
    )  # fmt: skip
    _write_provenance(config, drop, places, numbers, links, hashes, rights)
    return drop


_FOLDER_WORDS = {"image": "images", "animation": "animations", "metadata": "metadata"}


def _folder(places: Places, kind: str, numbers: Sequence[int], links: Sequence[Link]) -> Link:
    """The address of a folder that holds the files of one kind and nothing else."""
    names = [places.name(kind, number).rpartition("/")[2] for number in numbers]
    return folder_link(zip(names, links, strict=True))


def _write_rarity(root: Path, numbers: Sequence[int], traits: Sequence[Mapping[str, str]], rarity: Rarity) -> None:
    pieces = [
        {"number": number, "rank": rarity.ranks[k], "score": rarity.scores[k], "traits": dict(traits[k])}
        for k, number in enumerate(numbers)
    ]
    about = "score: minus log2 of the product of the shares of each trait and value; rank 1 is the rarest"
    write_json(root / RARITY, {"about": about, "traits": [asdict(row) for row in rarity.table], "pieces": pieces})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = list(traits[0]) if traits else []
    writer.writerow(["number", "rank", "score", *names])
    for k, number in enumerate(numbers):
        writer.writerow([number, rarity.ranks[k], rarity.scores[k], *(traits[k][name] for name in names)])
    write_bytes(root / RARITY_CSV, out.getvalue().encode())


def _write_provenance(
    config: NftConfig,
    drop: Drop,
    places: Places,
    numbers: Sequence[int],
    links: Mapping[str, Sequence[Link]],
    hashes: Mapping[str, Sequence[str]],
    rights: Mapping[str, Any],
) -> None:
    items = []
    for k, number in enumerate(numbers):
        item: dict[str, Any] = {"number": number}
        for kind in ("image", "animation", "metadata"):
            if kind in links:
                file = places.name(kind, number)
                item[kind] = {"file": file, "sha256": hashes[kind][k], "cid": str(links[kind][k])}
        items.append(item)
    about = (
        "provenance_hash: sha256 over the images' sha256 in hex, one after the other in mint order. CIDs: version 1, "
        "raw leaves, chunks of 262144 bytes, as `ipfs add --cid-version 1 -r`; those of folders hold one kind of file"
    )
    record = {
        "collection": config.collection, "standard": config.standard, "layout": config.layout, "pieces": drop.pieces,
        "start": config.start, "provenance_hash": drop.provenance_hash, "cids": dict(drop.cids),
        "candidates": dict(drop.skipped), "rights": dict(rights), "about": about, "items": items,
    }  # fmt: skip
    write_json(places.root / PROVENANCE, record)
