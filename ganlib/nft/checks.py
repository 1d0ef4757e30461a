"""Look through a folder for what would embarrass a collection after it is minted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ganlib.base.errors import DataError
from ganlib.base.filesystem import read_text_regular, reason
from ganlib.dataset.files import MANY, Files
from ganlib.nft.cid import Link, file_link, folder_link, sha256_of
from ganlib.nft.config import LAYOUTS, NO_CREATORS, NO_SYMBOL, STANDARDS
from ganlib.nft.documents import ALL, PROVENANCE, RARITY, RARITY_CSV, provenance_hash
from ganlib.nft.metadata import Places, schema_errors
from ganlib.nft.traits import rarity_of
from ganlib.runs.files import parse_json, read_json

_KINDS = ("image", "animation", "metadata")
_MOST = 1000
_SUMMARY_BYTES = 2 * 2**30


def validate_drop(folder: Path) -> list[str]:
    """Return what is wrong with a collection's folder, in words; an empty list where nothing is.

    Files missing or too many, other bytes than were made (sha256 and CID), copies, numbers with gaps, metadata that a
    standard's schema refuses, addresses that lead elsewhere, rights missing, ranks and shares that do not follow from
    the traits. Raises `DataError` where there is no collection at all. At most 1000 problems are told.
    """
    folder = Path(folder)
    try:
        record = read_json(folder / PROVENANCE)
        items = record["items"]
        standard, layout = str(record["standard"]), str(record["layout"])
        numbers = [int(item["number"]) for item in items]
        suffix = "." + str(items[0]["image"]["file"]).rpartition(".")[2]
    except FileNotFoundError as error:
        hint = "it is written last: run the same `nft` command again to finish the collection"
        raise DataError(f"there is no {PROVENANCE} in {folder}", hint) from error
    except NotADirectoryError as error:
        raise DataError(f"{folder} is no folder of a collection", "give the --outdir of an `nft` command") from error
    except OSError as error:
        raise DataError(f"{folder / PROVENANCE} cannot be read: {reason(error)}", "check its permissions") from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise DataError(f"{folder / PROVENANCE} is damaged", "make the collection again") from error
    if standard not in STANDARDS or layout not in LAYOUTS:
        raise DataError(f"{folder / PROVENANCE} is of an unknown kind", "make the collection again")
    checker = _Checker(folder, record, Places(folder, layout, suffix), standard)
    found: list[str] = []
    for problem in checker.problems(items, numbers):
        found.append(problem)
        if len(found) == _MOST:
            return [*found, "… and perhaps more"]
    return found


def advise_drop(folder: Path) -> list[str]:
    """Return what is no fault of a collection but will be missed after it is minted, in words.

    For Metaplex: pieces without a symbol, without creators. What cannot be read is passed over: `validate_drop` tells.
    """
    folder = Path(folder)
    try:
        is_metaplex = read_json(folder / PROVENANCE)["standard"] != "erc721"
        items = parse_json(read_text_regular(folder / ALL, max_bytes=_SUMMARY_BYTES))
    except (OSError, ValueError, KeyError, TypeError):
        return []
    if not is_metaplex or not isinstance(items, list):
        return []
    items = [item for item in items if isinstance(item, Mapping)]
    nameless = sum(not item.get("symbol") for item in items)
    orphans = sum(not _creators(item) for item in items)
    return [f"{number} of {len(items)} pieces: {words}" for number, words in
            ((nameless, NO_SYMBOL), (orphans, NO_CREATORS)) if number]  # fmt: skip


def _creators(item: Mapping[str, Any]) -> Any:
    properties = item.get("properties")
    return properties.get("creators") if isinstance(properties, Mapping) else None


class _Checker:
    def __init__(self, folder: Path, record: Mapping[str, Any], places: Places, standard: str) -> None:
        self.folder, self.record, self.places, self.standard = folder, record, places, standard
        self.traits: list[dict[str, str]] = []
        self.metadata: list[Any] = []

    def problems(self, items: list[Mapping[str, Any]], numbers: list[int]) -> Iterator[str]:
        """Everything that is wrong, in the order of the files."""
        yield from self._numbers(numbers)
        links: dict[str, list[tuple[str, Link]]] = {}
        for item, number in zip(items, numbers, strict=True):
            for kind in _KINDS:
                if kind not in item:
                    if kind != "animation":
                        yield f"{PROVENANCE}: piece {number} has no {kind}"
                    continue
                yield from self._file(kind, number, item[kind], links)
        yield from self._whole(items, links)
        for number, item in zip(numbers, items, strict=True):
            yield from self._metadata(number, item, links)
        yield from self._copies(items)
        yield from self._strangers(items)
        yield from self._summary()
        yield from self._rarity(numbers)

    def _numbers(self, numbers: list[int]) -> Iterator[str]:
        expected = range(numbers[0], numbers[0] + len(numbers))
        if numbers != list(expected):
            missing = sorted(set(range(min(numbers), max(numbers) + 1)) - set(numbers))
            what = f"number {missing[0]} is missing" if missing else "numbers repeat, or are not in order"
            yield f"{PROVENANCE}: {what}"
        if self.record.get("pieces") != len(numbers):
            yield f"{PROVENANCE}: says {self.record.get('pieces')} pieces and lists {len(numbers)}"
        if self.record.get("start") != numbers[0]:
            yield f"{PROVENANCE}: says that numbers start at {self.record.get('start')}"

    def _file(self, kind: str, number: int, entry: Any, links: dict[str, list[tuple[str, Link]]]) -> Iterator[str]:
        name = self.places.name(kind, number)
        if not isinstance(entry, Mapping) or entry.get("file") != name:
            yield f"{PROVENANCE}: the {kind} of piece {number} should be {name}"
            return
        path = self.folder / name
        if not path.is_file():
            yield f"{name}: missing"
            return
        link = file_link(path)
        links.setdefault(kind, []).append((name.rpartition("/")[2], link))
        if sha256_of(path) != entry.get("sha256"):
            yield f"{name}: its bytes are not those that were made (sha256)"
        elif str(link) != entry.get("cid"):
            yield f"{PROVENANCE}: the IPFS address of {name} is wrong"

    def _whole(self, items: list[Mapping[str, Any]], links: Mapping[str, list[tuple[str, Link]]]) -> Iterator[str]:
        hashes = [str(item.get("image", {}).get("sha256", "")) for item in items]
        if provenance_hash(hashes) != self.record.get("provenance_hash"):
            yield f"{PROVENANCE}: the provenance hash is not that of the images in mint order"
        cids = self.record.get("cids")
        words = {"image": "images", "animation": "animations", "metadata": "metadata"}
        for kind, found in links.items():
            complete = len(found) == sum(kind in item for item in items)
            if complete and (not isinstance(cids, Mapping) or cids.get(words[kind]) != str(folder_link(found))):
                yield f"{PROVENANCE}: the IPFS address of the folder of {words[kind]} is wrong"
        yield from _rights_problems(self.record.get("rights"), PROVENANCE)

    def _metadata(
        self, number: int, item: Mapping[str, Any], links: Mapping[str, list[tuple[str, Link]]]
    ) -> Iterator[str]:
        name = self.places.name("metadata", number)
        try:
            data = read_json(self.folder / name)
        except FileNotFoundError:
            return  # said already
        except (OSError, ValueError) as error:
            yield f"{name}: is no JSON: {str(error)[:80]}"
            return
        self.metadata.append(data)
        problems = schema_errors(data, self.standard)
        yield from (f"{name}: {problem}" for problem in problems)
        if not isinstance(data, Mapping):
            return
        properties = data.get("properties")
        properties = properties if isinstance(properties, Mapping) else {}
        yield from _rights_problems(properties.get("rights"), name)
        if properties.get("number") != number:
            yield f"{name}: says that it is number {properties.get('number')}"
        image = item.get("image")
        if isinstance(image, Mapping) and properties.get("sha256") != image.get("sha256"):
            yield f"{name}: the sha256 of the image is another"
        for key, kind in (("image", "image"), ("animation_url", "animation")):
            if kind in item and not self._leads_to(str(data.get(key, "")), kind, number, item[kind]):
                yield f"{name}: {key} does not lead to {self.places.name(kind, number)}"
            elif kind not in item and key in data:
                yield f"{name}: {key} leads to nothing"
        rows = data.get("attributes")
        rows = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
        names = Counter(str(row.get("trait_type")) for row in rows)
        yield from (f"{name}: the trait {trait} stands twice" for trait, n in names.items() if n > 1)
        self.traits.append({str(row.get("trait_type")): str(row.get("value")) for row in rows})

    def _leads_to(self, uri: str, kind: str, number: int, entry: Mapping[str, Any]) -> bool:
        file = self.places.name(kind, number)
        cids = self.record.get("cids")
        folder = cids.get({"image": "images", "animation": "animations"}[kind]) if isinstance(cids, Mapping) else None
        own = {f"ipfs://{entry.get('cid')}", f"ipfs://{folder}/{file.rpartition('/')[2]}"}
        return uri in own or (uri.endswith(f"/{file}") and not uri.startswith(f"ipfs://{folder}/"))

    def _copies(self, items: list[Mapping[str, Any]]) -> Iterator[str]:
        seen: dict[str, int] = {}
        for item in items:
            digest = str(item.get("image", {}).get("sha256"))
            if digest in seen:
                yield f"{self.places.name('image', item['number'])}: the same picture as piece {seen[digest]}"
            seen.setdefault(digest, item["number"])
        names: Counter[str] = Counter(str(d.get("name")) for d in self.metadata if isinstance(d, Mapping))
        yield from (f"the name '{name[:60]}' is given {n} times" for name, n in names.items() if n > 1)

    def _strangers(self, items: list[Mapping[str, Any]]) -> Iterator[str]:
        """Files that look like pieces and are none."""
        known = {str(item[kind]["file"]) for item in items for kind in _KINDS if isinstance(item.get(kind), Mapping)}
        known |= {ALL, RARITY, RARITY_CSV, PROVENANCE}
        with Files(self.folder, bounds=MANY, may_be_part=True) as files:
            yield from (f"{name}: does not belong to the collection" for name in files.names if name not in known)
            yield from (f"{name}: {why}" for name, why in files.skipped.items() if name not in known)
            if files.unfinished:
                yield f"the folder holds too much: {files.unfinished}"

    def _summary(self) -> Iterator[str]:
        path = self.folder / ALL
        try:
            if path.stat().st_size > _SUMMARY_BYTES:
                yield f"{ALL}: too large to be read"
                return
            data = parse_json(read_text_regular(path, max_bytes=_SUMMARY_BYTES))
        except FileNotFoundError:
            yield f"{ALL}: missing"
        except (OSError, ValueError):
            yield f"{ALL}: is no JSON"
        else:
            if json.dumps(data, sort_keys=True) != json.dumps(self.metadata, sort_keys=True):
                yield f"{ALL}: does not say the same as the pieces' own files"

    def _rarity(self, numbers: list[int]) -> Iterator[str]:
        try:
            data = read_json(self.folder / RARITY)
            told = {int(row["number"]): (int(row["rank"]), dict(row["traits"])) for row in data["pieces"]}
        except FileNotFoundError:
            yield f"{RARITY}: missing"
            return
        except (OSError, ValueError, KeyError, TypeError):
            yield f"{RARITY}: is damaged"
            return
        if not (self.folder / RARITY_CSV).is_file():
            yield f"{RARITY_CSV}: missing"
        if len(self.traits) != len(numbers):
            return
        ranks = rarity_of(self.traits).ranks
        for number, rank, traits in zip(numbers, ranks, self.traits, strict=True):
            if told.get(number) != (rank, traits):
                yield f"{RARITY}: rank or traits of piece {number} are not those of its metadata"


def _rights_problems(rights: Any, where: str) -> Iterator[str]:
    needed = ("model", "model_digest", "licence", "words", "training_data")
    if not isinstance(rights, Mapping) or not all(str(rights.get(key) or "").strip() for key in needed):
        yield f"{where}: the rights in the model and its data are missing"
