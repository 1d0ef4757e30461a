"""Addresses that IPFS will give to files and folders, computed without a node and without a network.

They are those of the reference implementation, Kubo: `ipfs add --cid-version 1 -r FOLDER` (version 1, raw leaves), or,
with `version=0`, those of `ipfs add -r FOLDER`. Both cut files into chunks of 256 KiB, join up to 174 of them in a
node, and shard folders whose links take more than 256 KiB. Specifications: UnixFS and DAG-PB. Links stand before the
data in a DAG-PB node, against the order of their field numbers; that is why no protobuf library writes it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ganlib.base.filesystem import open_regular

CHUNK_BYTES = 262_144
MAX_LINKS = 174
SHARD_BYTES = 262_144
"""A folder is sharded when the names and addresses of its links take more."""
_FANOUT = 256
_RAW, _DAG_PB = 0x55, 0x70
_DIRECTORY, _FILE, _SHARD = 1, 2, 5
_MURMUR3_X64_64 = 0x22
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_MASK = 2**64 - 1


@dataclass(frozen=True)
class Link:
    """What a node says of a block below it."""

    cid: bytes
    """The address in bytes."""
    total: int
    """Bytes of the block and of all below it."""
    content: int = 0
    """Bytes of a file that are reached through it."""

    def __str__(self) -> str:
        """The address as people write it: `Qm…` for version 0, `baf…` for version 1."""
        if self.cid[:2] == b"\x12\x20":
            return _base58(self.cid)
        return "b" + base64.b32encode(self.cid).decode().lower().rstrip("=")


# --- files ------------------------------------------------------------------------------------------------------------


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, in hex."""
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_link(path: Path, *, version: int = 1) -> Link:
    """Return the address of a file's bytes, read a chunk at a time."""
    with open_regular(path) as stream:
        return chunks_link(iter(lambda: stream.read(CHUNK_BYTES), b""), version=version)


def bytes_link(data: bytes, *, version: int = 1, chunk: int = CHUNK_BYTES) -> Link:
    """Return the address of a file that holds `data`."""
    return chunks_link((data[i : i + chunk] for i in range(0, len(data), chunk)), version=version)


def chunks_link(chunks: Iterable[bytes], *, version: int = 1) -> Link:
    """Return the address of a file from its chunks, all but the last of one size: a balanced tree of them."""
    links = [_leaf(chunk, version) for chunk in chunks] or [_leaf(b"", version)]
    while len(links) > 1:
        links = [file_node(links[i : i + MAX_LINKS], version) for i in range(0, len(links), MAX_LINKS)]
    return links[0]


def _leaf(chunk: bytes, version: int) -> Link:
    if version == 1:
        return Link(_address(_RAW, chunk, 1), len(chunk), len(chunk))
    data = _number(1, _FILE) + (_bytes(2, chunk) if chunk else b"") + _number(3, len(chunk))
    return _node([], data, version, len(chunk))


def file_node(parts: Sequence[Link], version: int = 1) -> Link:
    """Return the node of a file that joins `parts`, in order."""
    content = sum(part.content for part in parts)
    data = _number(1, _FILE) + _number(3, content) + b"".join(_number(4, part.content) for part in parts)
    return _node([("", part) for part in parts], data, version, content)


# --- folders ----------------------------------------------------------------------------------------------------------


def folder_link(entries: Iterable[tuple[str, Link]], *, version: int = 1, shard_bytes: int = SHARD_BYTES) -> Link:
    """Return the address of a folder from the names and addresses of what lies in it."""
    named = sorted(entries, key=lambda entry: entry[0].encode())
    if sum(len(name.encode()) + len(link.cid) for name, link in named) > shard_bytes:
        return _shard([(_murmur3(name.encode()), name, link) for name, link in named], 0, version)
    return _node(named, _number(1, _DIRECTORY), version)


def _shard(entries: Sequence[tuple[int, str, Link]], depth: int, version: int) -> Link:
    """A node of a hash array mapped trie: an entry's place is the next byte of the hash of its name."""
    places: dict[int, list[tuple[int, str, Link]]] = {}
    for entry in entries:
        places.setdefault(entry[0] >> (56 - 8 * depth) & 0xFF, []).append(entry)
    links, field = [], 0
    for place in sorted(places):
        field |= 1 << place
        inside = places[place]
        if len(inside) == 1:
            links.append((f"{place:02X}{inside[0][1]}", inside[0][2]))
        else:
            links.append((f"{place:02X}", _shard(inside, depth + 1, version)))
    bits = field.to_bytes((field.bit_length() + 7) // 8, "big")
    data = _number(1, _SHARD) + _bytes(2, bits) + _number(5, _MURMUR3_X64_64) + _number(6, _FANOUT)
    return _node(links, data, version)


# --- bytes ------------------------------------------------------------------------------------------------------------


def _node(links: Sequence[tuple[str, Link]], data: bytes, version: int, content: int = 0) -> Link:
    parts = [_bytes(2, _bytes(1, x.cid) + _bytes(2, name.encode()) + _number(3, x.total)) for name, x in links]
    block = b"".join(parts) + _bytes(1, data)
    return Link(_address(_DAG_PB, block, version), len(block) + sum(link.total for _, link in links), content)


def _address(codec: int, block: bytes, version: int) -> bytes:
    multihash = b"\x12\x20" + hashlib.sha256(block).digest()
    return multihash if version == 0 else bytes([1, codec]) + multihash


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _base58(data: bytes) -> str:
    value, out = int.from_bytes(data, "big"), ""
    while value:
        value, digit = divmod(value, 58)
        out = _BASE58[digit] + out
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + out


def _words(data: bytes) -> Iterator[tuple[int, int]]:
    for i in range(0, len(data) - 15, 16):
        yield int.from_bytes(data[i : i + 8], "little"), int.from_bytes(data[i + 8 : i + 16], "little")


def _murmur3(data: bytes) -> int:
    """The first 64 bits of MurmurHash3 x64 128 with seed 0 (Appleby, public domain), as UnixFS takes it of names."""

    def turn(x: int, by: int) -> int:
        return (x << by | x >> (64 - by)) & _MASK

    def mix_k1(k: int) -> int:
        return turn(k * c1 & _MASK, 31) * c2 & _MASK

    def mix_k2(k: int) -> int:
        return turn(k * c2 & _MASK, 33) * c1 & _MASK

    def finish(x: int) -> int:
        x = (x ^ x >> 33) * 0xFF51AFD7ED558CCD & _MASK
        x = (x ^ x >> 33) * 0xC4CEB9FE1A85EC53 & _MASK
        return x ^ x >> 33

    c1, c2, h1, h2 = 0x87C37B91114253D5, 0x4CF5AD432745937F, 0, 0
    for k1, k2 in _words(data):
        h1 = ((turn(h1 ^ mix_k1(k1), 27) + h2) * 5 + 0x52DCE729) & _MASK
        h2 = ((turn(h2 ^ mix_k2(k2), 31) + h1) * 5 + 0x38495AB5) & _MASK
    tail = data[len(data) & ~15 :]
    h2 ^= mix_k2(int.from_bytes(tail[8:], "little"))
    h1 ^= mix_k1(int.from_bytes(tail[:8], "little"))
    h1, h2 = h1 ^ len(data), h2 ^ len(data)
    h1 = (h1 + h2) & _MASK
    h2 = (h2 + h1) & _MASK
    return (finish(h1) + finish(h2)) & _MASK
