"""Licences: the ways people write them, and what an artist may do."""

import pytest

from ganlib.models.rights import LICENCES, UNKNOWN, conflict, read_licence, rights_words, stricter


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CC0-1.0", "CC0-1.0"),
        ("cc0", "CC0-1.0"),
        ("license:cc-by-nc-4.0", "CC-BY-NC-4.0"),
        ("CC BY-NC-SA 4.0", "CC-BY-NC-SA-4.0"),
        ("Creative Commons Attribution-NonCommercial 3.0", "CC-BY-NC-4.0"),
        ("MIT License", "MIT"),
        ("Apache License 2.0", "Apache-2.0"),
        ("apache-2.0", "Apache-2.0"),
        ("GPL-3.0-or-later", "GPL-3.0-only"),
        ("Public Domain", "PDDL-1.0"),
        ("NVIDIA Source Code License", "Nvidia-SC"),
        ("CC BY-ND 4.0", "unknown"),
        ("my own words", "unknown"),
        ("", "unknown"),
        ("unknown", "unknown"),
    ],
)
def test_licences_are_read_in_the_ways_people_write_them(text: str, expected: str):
    assert read_licence(text).id == expected


def test_every_licence_reads_back_by_its_identifier_and_that_of_the_hub():
    for licence in LICENCES:
        assert read_licence(licence.id) is licence
        if licence.hub != "other":
            assert read_licence(licence.hub).id == licence.id


def test_the_stricter_of_two_binds():
    assert stricter("CC0-1.0", "CC-BY-NC-4.0") == "CC-BY-NC-4.0"
    assert stricter("CC-BY-4.0", "MIT") == "CC-BY-4.0"
    assert stricter("CC0-1.0", "unknown") == "unknown"
    assert stricter("unknown", "CC-BY-NC-4.0") == "CC-BY-NC-4.0"


def test_licences_that_cannot_be_kept_together_are_told():
    assert "forbids to share" in conflict("CC0-1.0", "CC-BY-NC-ND-4.0")
    assert "ask both authors" in conflict("CC-BY-SA-4.0", "CC-BY-NC-4.0")
    assert conflict("CC-BY-SA-4.0", "CC0-1.0") == conflict("CC-BY-SA-4.0", "cc-by-sa") == ""
    assert conflict("CC-BY-NC-4.0", "CC-BY-4.0") == conflict("MIT", "unknown") == ""


def test_whoever_may_not_sell_is_told_so():
    assert "not for sale" in rights_words("CC-BY-NC-SA-4.0")
    assert "may sell" in rights_words("CC0-1.0") and "author" not in rights_words("CC0-1.0")
    assert "name its author" in rights_words("CC-BY-4.0")
    assert "ask the author" in rights_words("") and "ask the author" in rights_words("my words")
    assert UNKNOWN.commercial is None
