"""Upscaling models by name: the one that is embedded, well-known ones that can be fetched, and a person's own files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ganlib.base.errors import GanlibError, InputError
from ganlib.base.workspace import cache_root
from ganlib.models.hub.transfer import Wanted, fetch
from ganlib.runs import Reporter
from ganlib.superres.weights import SUFFIXES, read_card

EMBEDDED = "atelier-x4"
EMBEDDED_FILE = Path(__file__).with_name(f"{EMBEDDED}.safetensors")
_RELEASES = "https://github.com/xinntao/Real-ESRGAN/releases/download"


@dataclass(frozen=True)
class KnownModel:
    """A public model, where it comes from and what it may be used for."""

    name: str
    about: str
    """One sentence for a person."""
    address: str
    bytes: int
    sha256: str
    scale: int
    licence: str = "BSD-3-Clause"
    author: str = "Xintao Wang and others, Real-ESRGAN"

    @property
    def path(self) -> Path:
        """Where it lies once it was fetched."""
        return models_folder() / self.address.rpartition("/")[2]


KNOWN: dict[str, KnownModel] = {
    row.name: row
    for row in (
        KnownModel(
            "realesr-general-x4v3", "Small and quick; cleans photographs and most other pictures.",
            f"{_RELEASES}/v0.2.5.0/realesr-general-x4v3.pth", 4_885_111,
            "8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292", 4,
        ),
        KnownModel(
            "realesrgan-x4plus", "Large and slow; invents fine detail in photographs. Wants a graphics card.",
            f"{_RELEASES}/v0.1.0/RealESRGAN_x4plus.pth", 67_040_989,
            "4fa0d38905f75ac06eb49a7951b426670021be3018265fd191d2125df9d682f1", 4,
        ),
        KnownModel(
            "realesrgan-x2plus", "The same for twice the size.",
            f"{_RELEASES}/v0.2.1/RealESRGAN_x2plus.pth", 67_061_725,
            "49fafd45f8fd7aa8d31ab2a22d14d91b536c34494a5cfe31eb5d89c2fa266abb", 2,
        ),
        KnownModel(
            "realesrgan-x4plus-anime", "For drawings with lines and flat colours.",
            f"{_RELEASES}/v0.2.2.4/RealESRGAN_x4plus_anime_6B.pth", 17_938_799,
            "f872d837d3c90ed2e05227bed711af5671a6fd1c9f7d7e91c911a61f155e99da", 4,
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """A model that can be chosen, whether or not it is here yet."""

    name: str
    about: str
    licence: str
    """Empty where it is not known."""
    path: Path
    is_here: bool
    known: KnownModel | None = None
    """Where it can be fetched from; None for the embedded one and a person's own."""


def models_folder() -> Path:
    """Where fetched models and a person's own lie: `upscalers` in the cache folder. Not created here."""
    return cache_root() / "upscalers"


def choices() -> list[Choice]:
    """Return the embedded model, the known ones and those in `models_folder()`, in this order."""
    found = [Choice(EMBEDDED, "Built in; trained on public-domain paintings.", "CC0-1.0", EMBEDDED_FILE, True)]
    found += [Choice(row.name, row.about, row.licence, row.path, row.path.is_file(), row) for row in KNOWN.values()]
    taken = {choice.path for choice in found}
    folder = models_folder()
    own = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in own:
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path not in taken:
            found.append(Choice(path.stem, "Your own file.", _licence_of(path), path, True))
    return found


def _licence_of(path: Path) -> str:
    try:
        card = read_card(path) if path.suffix.lower() == ".safetensors" else None
    except GanlibError:  # it is told when the file is opened
        return ""
    return card.licence if card else ""


def find_model(text: str) -> Path:
    """Return the file of a model named by path, or by a name of `choices`. Raises InputError that says what there is,
    or how a known one is fetched."""
    given = Path(text)
    if given.suffix.lower() in SUFFIXES and given.is_file():
        return given
    rows = {choice.name: choice for choice in choices()}
    choice = rows.get(text)
    if choice is None:
        hint = f"name a {', '.join(SUFFIXES)} file, or one of: {', '.join(rows)}"
        raise InputError(f"there is no upscaling model {text[:80]!r}", hint)
    if not choice.is_here:
        size = f" ({choice.known.bytes / 1e6:.0f} MB, {choice.licence})" if choice.known else ""
        raise InputError(f"the model {text} is not on this machine{size}", "add --download to fetch it once")
    return choice.path


def download_model(name: str, reporter: Reporter | None = None) -> Path:
    """Fetch a known model, unless it is here already, and return its file.

    Its size and sha256 must be those that are known. Raises InputError for a name that is not known, HubError where it
    cannot be fetched or is another file."""
    if name not in KNOWN:
        raise InputError(f"no address is known for {name[:80]!r}", f"one of: {', '.join(KNOWN)}")
    row = KNOWN[name]
    if not row.path.is_file():
        wanted = Wanted(row.address, f"{row.name} ({row.licence}, {row.author})", row.bytes, row.sha256)
        fetch(wanted, row.path, reporter=reporter)
    return row.path
