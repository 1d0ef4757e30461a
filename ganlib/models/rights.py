"""What may be done with a model and what it makes: licences as data, read from the many ways people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Licence:
    """What a licence of weights or data allows, in the four facts that an artist asks for. This is no legal advice."""

    id: str
    """SPDX identifier where there is one, else the usual name; `unknown` where nothing is said."""
    title: str
    """The name for people."""
    commercial: bool | None
    """Whether pictures made with it may be sold: None is not known."""
    attribution: bool
    """Whether its author must be named."""
    share_alike: bool
    """Whether what is made from it must carry the same licence."""
    strictness: int
    """Order of licences: of two, the result of both takes the greater."""
    hub: str = "other"
    """The identifier that the Hugging Face Hub uses in a model's card."""


UNKNOWN = Licence("unknown", "not known", None, False, False, 8)

LICENCES: tuple[Licence, ...] = (
    Licence("CC0-1.0", "CC0 1.0, public domain", True, False, False, 0, "cc0-1.0"),
    Licence("PDDL-1.0", "public domain", True, False, False, 0, "pddl"),
    Licence("Unlicense", "The Unlicense, public domain", True, False, False, 0, "unlicense"),
    Licence("MIT", "MIT", True, True, False, 1, "mit"),
    Licence("BSD-2-Clause", "BSD 2-Clause", True, True, False, 1, "bsd-2-clause"),
    Licence("BSD-3-Clause", "BSD 3-Clause", True, True, False, 1, "bsd-3-clause"),
    Licence("Apache-2.0", "Apache 2.0", True, True, False, 1, "apache-2.0"),
    Licence("CC-BY-4.0", "CC BY 4.0", True, True, False, 2, "cc-by-4.0"),
    Licence("CC-BY-SA-4.0", "CC BY-SA 4.0", True, True, True, 3, "cc-by-sa-4.0"),
    Licence("OpenRAIL", "OpenRAIL, with limits of use", True, False, True, 3, "openrail"),
    Licence("GPL-3.0-only", "GPL 3.0", True, True, True, 4, "gpl-3.0"),
    Licence("AGPL-3.0-only", "AGPL 3.0", True, True, True, 4, "agpl-3.0"),
    UNKNOWN,
    Licence("CC-BY-NC-4.0", "CC BY-NC 4.0", False, True, False, 9, "cc-by-nc-4.0"),
    Licence("CC-BY-NC-SA-4.0", "CC BY-NC-SA 4.0", False, True, True, 10, "cc-by-nc-sa-4.0"),
    Licence("Nvidia-SC", "Nvidia Source Code License, non-commercial", False, True, True, 11),
    Licence("CC-BY-NC-ND-4.0", "CC BY-NC-ND 4.0", False, True, True, 12, "cc-by-nc-nd-4.0"),
)

_BY_KEY = {re.sub("[^a-z0-9]", "", licence.id.lower()): licence for licence in LICENCES}
_BY_KEY |= {re.sub("[^a-z0-9]", "", licence.hub): licence for licence in LICENCES if licence.hub != "other"}
_BY_KEY |= {
    "publicdomain": _BY_KEY["pddl"], "pdm": _BY_KEY["pddl"], "cc0": _BY_KEY["cc010"], "apache2": _BY_KEY["apache20"],
    "apachelicense20": _BY_KEY["apache20"],
    "nvidiasourcecodelicense": _BY_KEY["nvidiasc"], "nvidiasourcecodelicensenc": _BY_KEY["nvidiasc"],
    "nvidiasourcecodelicensefornvidia": _BY_KEY["nvidiasc"], "nonexclusivenoncommercial": _BY_KEY["ccbync40"],
    "noncommercial": _BY_KEY["ccbync40"], "gpl3": _BY_KEY["gpl30"], "agpl3": _BY_KEY["agpl30"],
    "creativemlopenrailm": _BY_KEY["openrail"], "bigscienceopenrailm": _BY_KEY["openrail"],
}  # fmt: skip
_CREATIVE = re.compile(r"^(?:cc|creativecommons)(by)?(nc)?(sa|nd)?(?:[0-9]+|)(?:international|)$")


def read_licence(text: str) -> Licence:
    """Return the licence that `text` names, such as `cc-by-nc 4.0`, `CC0`, `MIT License`; `UNKNOWN` for other words."""
    key = re.sub("[^a-z0-9]", "", text.lower().replace("license:", "").replace("licence", "license"))
    for name in (key, key.removesuffix("license"), key.removesuffix("only"), key.removesuffix("orlater")):
        if name in _BY_KEY:
            return _BY_KEY[name]
    if (found := _CREATIVE.match(key.replace("attribution", "by").replace("noncommercial", "nc"))) and found[1]:
        return _BY_KEY.get("cc" + "".join(filter(None, found.groups())) + "40", UNKNOWN)
    return UNKNOWN


def stricter(*texts: str) -> str:
    """Return that of the licences' texts which binds most; the first of equals. One that is not known counts as
    stricter than all that allow sale, and as looser than those that forbid it."""
    return max(texts, key=lambda text: read_licence(text).strictness)


def conflict(*texts: str) -> str:
    """Return in a sentence why a thing made of works under these licences may not be shared at all; empty where it may.

    A licence that asks for the same licence again cannot be kept together with another one."""
    found = [read_licence(text) for text in texts]
    for licence in found:
        if "-ND-" in licence.id:
            return f"{licence.title} forbids to share what is made of it: keep it for yourself, or ask the author."
    kinds = {licence.id for licence in found if licence.strictness > 2 or licence.share_alike}
    binding = next((licence for licence in found if licence.share_alike and len(kinds - {UNKNOWN.id}) > 1), None)
    if binding is None:
        return ""
    return (
        f"{binding.title} wants what is made of it under the same licence, and another one here does not allow that: "
        "ask both authors before you share it."
    )


def rights_words(text: str) -> str:
    """Return in a sentence whether pictures of a model under this licence may be sold."""
    licence = read_licence(text)
    if licence.commercial is None:
        said = text.strip()[:60]
        no_words = said.lower() in ("", "unknown", "other")
        named = "The licence is not known" if no_words else f"'{said}' is no licence this studio knows"
        return f"{named}: ask the author before you sell what it makes."
    if not licence.commercial:
        return f"{licence.title}: not for sale. Use what it makes for yourself, for study or for show, unpaid."
    duties = ((licence.attribution, "name its author"), (licence.share_alike, "share what you build from it alike"))
    asks = " and ".join(words for holds, words in duties if holds)
    return f"{licence.title}: you may sell what it makes" + (f"; {asks}." if asks else ".")
