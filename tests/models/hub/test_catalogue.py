"""The catalogue is a sound table; what it lists is fetched on request, checked, and imported with its rights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from standin import Repository

from ganlib.__main__ import main
from ganlib.base.errors import DataError, HubError, InputError
from ganlib.models import hub
from ganlib.models.hub import downloads
from ganlib.models.hub.catalogue import TABLE
from ganlib.models.rights import read_licence

ROW = {
    "name": "a-1", "title": "A", "arch": "StyleGAN2", "resolution": 16, "shows": "dots", "format": "state-dict",
    "address": "https://example.org/a.pt", "licence": "CC-BY-NC-4.0", "commercial": False, "credit": "Somebody",
    "source": "https://example.org",
}  # fmt: skip


def table(place: Path, *rows: dict[str, object]) -> hub.Catalogue:
    (place / "table.json").write_text(json.dumps({"checked": "no", "models": rows}))
    return hub.read_catalogue(place / "table.json")


def test_the_studios_own_table_is_sound():
    found = hub.catalogue()
    assert len(found.entries) >= 40
    assert "none of the addresses was fetched" in found.checked
    assert len({entry.address for entry in found.entries}) == len(found.entries)
    for entry in found.entries:
        assert entry.licence == "unknown" or read_licence(entry.licence).id == entry.licence
        assert entry.notes or entry.commercial is False, f"{entry.name}: sale is said with a word about it"
    names = {entry.name for entry in found.entries}
    assert {"ada-ffhq", "ada-metfaces", "stylegan3-r-afhqv2-512", "stylegan2-horse-config-f"} <= names
    assert TABLE.name == "catalogue.json"


WRONG = {
    "name": "A b", "address": "http://example.org/a.pt", "source": "ftp://x", "format": "zip",
    "licence": "cc-by-nc 4.0", "commercial": True, "sha256": "xyz", "bytes": 0, "resolution": 17, "credit": "",
    "extra": 1,
}  # fmt: skip


@pytest.mark.parametrize("field", WRONG)
def test_a_wrong_row_is_named(place, field):
    assert table(place, ROW).entries[0].name == "a-1"
    with pytest.raises(DataError, match="row 2"):
        table(place, ROW, {**ROW, "name": "b"} | {field: WRONG[field]})


def test_tables_that_are_none_are_refused(place):
    with pytest.raises(DataError, match="twice"):
        table(place, ROW, ROW)
    with pytest.raises(DataError, match="row 1"):
        table(place, {key: value for key, value in ROW.items() if key != "licence"})
    for text in ("[]", "{", "{}", '{"checked": "", "models": [3]}'):
        (place / "table.json").write_text(text)
        with pytest.raises(DataError):
            hub.read_catalogue(place / "table.json")


def test_an_entry_is_fetched_checked_and_imported_with_its_rights(hub_server, foreign_file, monkeypatch):
    hub_server.repositories["x/y"] = Repository({"a.pt": foreign_file})
    digest = hashlib.sha256(foreign_file).hexdigest()
    entry = hub.Entry(**ROW | {"address": f"{hub_server.base}/x/y/resolve/main/a.pt", "sha256": digest})
    with pytest.raises(HubError, match="of the kind"):
        hub.fetch_catalogue(entry)
    assert hub_server.asked == []
    monkeypatch.setattr(downloads, "SCHEMES", ("http",))
    hub_server.cut_after = [2000]
    card = hub.fetch_catalogue(entry)
    assert (card.name, card.title, card.licence, card.data) == ("a-1", "A", "CC-BY-NC-4.0", "Somebody")
    assert card.source == entry.address
    assert [wanted for verb, path, wanted in hub_server.asked if "/cdn/" in path] == ["", "bytes=2000-"]
    asked = len(hub_server.asked)
    assert hub.fetch_catalogue(entry).path == card.path
    assert len(hub_server.asked) == asked
    assert hub.list_cached()[0].entry == "a-1"


def test_a_wrong_checksum_of_the_catalogue_is_refused(hub_server, foreign_file, monkeypatch):
    monkeypatch.setattr(downloads, "SCHEMES", ("http",))
    hub_server.repositories["x/y"] = Repository({"a.pt": foreign_file})
    row = ROW | {"address": f"{hub_server.base}/x/y/resolve/main/a.pt", "sha256": "0" * 64}
    with pytest.raises(HubError, match="not what was promised"):
        hub.fetch_catalogue(hub.Entry(**row))
    assert list(Path("checkpoints").iterdir()) == []
    hub_server.repositories["x/y"].files["a.pt"] = b"<html>sign in</html>"
    with pytest.raises(HubError, match="not there"):
        hub.fetch_catalogue(hub.Entry(**row | {"address": f"{hub_server.base}/nowhere.pt"}))


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://example.org/a.pt", "https://example.org/a.pt"])
def test_an_address_leads_to_none_of_another_kind(hub_server, monkeypatch, address):
    monkeypatch.setattr(downloads, "SCHEMES", ("http",))
    hub_server.refuse = {"/a.pt": (302, {"Location": address})}
    with pytest.raises(HubError, match=r"of the kind|answered 302"):
        hub.fetch_catalogue(hub.Entry(**ROW | {"address": f"{hub_server.base}/a.pt"}))


def test_the_command_lists_and_refuses_unknown_names(capsys):
    assert main(["catalogue", "metfaces"]) == 0
    out = capsys.readouterr().out
    assert "ada-metfaces" in out and "not for sale" in out and "none of the addresses was fetched" in out
    assert main(["catalogue", "--get", "metfaces-9"]) == 2
    assert "ada-metfaces" in capsys.readouterr().err
    with pytest.raises(InputError):
        hub.find_entry("")
