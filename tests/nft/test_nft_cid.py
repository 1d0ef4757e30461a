"""Addresses of IPFS, held against published results of its reference implementation."""

from __future__ import annotations

from base64 import b32decode

import pytest

from ganlib.nft.cid import CHUNK_BYTES, MAX_LINKS, Link, bytes_link, chunks_link, file_link, file_node, folder_link

LOREM = (
    b"Lorem ipsum dolor sit amet, sit enim montes aliquam. Cras non lorem, rhoncus condimentum, irure et ante. "
    b"Pulvinar suscipit odio ante, et tellus a enim, wisi ipsum, vel rhoncus eget faucibus varius, luctus turpis "
    b"nibh vel odio nulla pede."
)


# Kubo's README and tests, and the test vectors of the UnixFS specification.
@pytest.mark.parametrize(
    ("content", "version", "expected"),
    [
        (b"hello world\n", 0, "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"),
        (b"hello world", 0, "Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD"),
        (b"hello world\n", 1, "bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4"),
        (b"", 0, "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"),
        (b"", 1, "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"),
        (b"100\n", 0, "QmZ3RfWk1u5LEGYLHA633B5TNJy3Du27K6Fny9wcxpowGS"),
    ],
)
def test_a_small_file_has_the_published_address(content, version, expected):
    assert str(bytes_link(content, version=version)) == expected


# go-ipfs 0.5 with --chunker size-2, size-1 (174 links and 63 in two nodes), size-32, and 174 chunks and one more.
@pytest.mark.parametrize(
    ("content", "chunk", "expected"),
    [
        (b"foobar\n", 2, "QmRJHYTNvC3hmd9gJQARxLR1QMEincccBV53bBw524yyq6"),
        (LOREM, 1, "QmRQ6NZNUs4JrCT2y7tmCC1wUhjqYuTssB8VXbbN3rMffg"),
        (LOREM, 32, "QmYSLcVQqxKygiq7x9w1XGYxU29EShB8ZemiaQ8GAAw17h"),
        (bytes(349), 2, "QmcHNWF1d56uCDSfJPA7t9fadZRV9we5HGSTGSmwuqmMP9"),
    ],
)
def test_a_file_of_many_chunks_has_the_published_address(content, chunk, expected):
    assert str(bytes_link(content, version=0, chunk=chunk)) == expected


def cid(text: str) -> bytes:
    return b32decode(text[1:].upper() + "=" * (-len(text[1:]) % 8))


MULTIBLOCK = (
    ("bafkreie5noke3mb7hqxukzcy73nl23k6lxszxi5w3dtmuwz62wnvkpsscm", 256),
    ("bafkreih4ephajybraj6wnxsbwjwa77fukurtpl7oj7t7pfq545duhot7cq", 256),
    ("bafkreigu7buvm3cfunb35766dn7tmqyh2um62zcio63en2btvxuybgcpue", 256),
    ("bafkreicll3huefkc3qnrzeony7zcfo7cr3nbx64hnxrqzsixpceg332fhe", 256),
    ("bafkreifst3pqztuvj57lycamoi7z34b4emf7gawxs74nwrc2c7jncmpaqm", 2),
)


def multiblock() -> Link:
    return file_node([Link(cid(text), size, size) for text, size in MULTIBLOCK])


def test_raw_leaves_and_folders_are_those_of_the_specification():
    file = multiblock()
    assert str(file) == "bafybeigcisqd7m5nf3qmuvjdbakl5bdnh4ocrmacaqkpuh77qjvggmt2sa"
    assert (file.total, file.content) == (1271, 1026)
    ascii_, hello = bytes_link(b"hello application/vnd.ipld.car\n"), bytes_link(b"hello world\n")
    entries = [("multiblock.txt", file), ("hello.txt", hello), ("ascii.txt", ascii_), ("ascii-copy.txt", ascii_)]
    assert str(folder_link(entries)) == "bafybeihchr7vmgjaasntayyatmp5sv6xza57iy2h4xj7g46bpjij6yhrmy"
    inner = folder_link([("hello.txt", hello), ("ascii.txt", ascii_)])
    assert str(inner) == "bafybeiggghzz6dlue3m6nb2dttnbrygxh3lrjl5764f2m4gq7dgzdt55o4"
    outer = folder_link([("subdir", inner)])
    assert str(outer) == "bafybeietjm63oynimmv5yyqay33nui4y4wx6u3peezwetxgiwvfmelutzu"
    assert str(folder_link([], version=0)) == "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
    assert str(folder_link([])) == "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"


def numbered(count: int, form: str, version: int) -> list[tuple[str, Link]]:
    return [(form.format(i), bytes_link(f"{i}\n".encode(), version=version)) for i in range(1, count + 1)]


# Kubo, test/sharness/t0260-sharding.sh.
@pytest.mark.parametrize(
    ("count", "form", "version", "shard_bytes", "expected"),
    [
        (2000, "file{}", 0, 2**30, "QmavrTrQG4VhoJmantURAYuw3bowq3E2WcvP36NRQDAC1N"),
        (2000, "file{}", 0, 1, "QmSCJD1KYLhVVHqBK3YyXuoEqHt7vggyJhzoFYbT8v1XYL"),
        (2000, "file{}", 1, 1, "bafybeibiemewfzzdyhq2l74wrd6qj2oz42usjlktgnlqv4yfawgouaqn4u"),
        (5960, "file{:06d}", 0, None, "QmWfjnRWRvdvYezQWnfbvrvY7JjrpevsE9cato1x76UqGr"),
    ],
)
def test_a_large_folder_is_sharded_as_kubo_does(count, form, version, shard_bytes, expected):
    options = {} if shard_bytes is None else {"shard_bytes": shard_bytes}
    assert str(folder_link(numbered(count, form, version), version=version, **options)) == expected


def test_the_folder_that_kubo_unshards_is_not_sharded():
    entries = numbered(5960, "file{:06d}", 0)[5:]
    assert str(folder_link(entries, version=0)) == "QmbVxi5zDdzytrjdufUejM92JsWj8wGVmukk6tiPce3p1m"


def test_a_tree_of_three_layers_is_that_of_nodes_joined_by_hand(tmp_path):
    leaves = [bytes_link(bytes([i % 251])) for i in range(MAX_LINKS * MAX_LINKS + 3)]
    nodes = [file_node(leaves[i : i + MAX_LINKS]) for i in range(0, len(leaves), MAX_LINKS)]
    root = file_node([file_node(nodes[:MAX_LINKS]), file_node(nodes[MAX_LINKS:])])
    assert chunks_link(bytes([i % 251]) for i in range(MAX_LINKS * MAX_LINKS + 3)) == root
    full = file_node(nodes[:MAX_LINKS])
    assert chunks_link(bytes([i % 251]) for i in range(MAX_LINKS * MAX_LINKS)) == full


def test_a_file_on_disk_is_cut_into_chunks_of_256_kib(tmp_path):
    data = bytes(range(256)) * 1025 + b"rest"
    (tmp_path / "large.bin").write_bytes(data)
    assert len(data) > CHUNK_BYTES
    parts = [bytes_link(data[:CHUNK_BYTES]), bytes_link(data[CHUNK_BYTES:])]
    assert file_link(tmp_path / "large.bin") == bytes_link(data) == file_node(parts)
