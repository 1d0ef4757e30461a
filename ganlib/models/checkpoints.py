"""Models on disk: one safetensors file with a self-describing JSON header.

The header's metadata holds one key, `latent-atelier`, with JSON: format, digest, spec, kimg, title, source, licence,
data, metrics, created, and where they are known parents, classes, training, about and cover. Tensors are named
`G_ema.…` and, where the discriminator is known, `D.…`. The digest is a sha256 over all tensors and the spec, so that
two files with the same digest make the same pictures. Format 1 wrote that of the tensors alone; it is completed when
such a file is read.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shlex
import shutil
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ganlib import networks, runs
from ganlib.base import workspace
from ganlib.base.errors import CheckpointError, GanlibError, InputError
from ganlib.base.filesystem import NotRegularError, check_regular, open_regular, reason
from ganlib.models.rights import UNKNOWN, read_licence, stricter
from ganlib.networks.base import Discriminator, DiscriminatorSpec, Generator, GeneratorSpec

KEY = "latent-atelier"
FORMAT = 2
SUFFIX = ".safetensors"
FOREIGN_SUFFIXES = (".pkl", ".pt", ".pth")
"""What models of other tools are called, which are imported first."""
MAX_HEADER_BYTES = 16 * 2**20
MAX_ABOUT = 5000
_DAMAGED = "the file is damaged or was not fully copied; download or copy it again"


@dataclass(frozen=True)
class Checkpoint:
    """The card of a model file, read from its header alone."""

    path: Path
    digest: str
    """sha256 over tensors and spec, 64 hexadecimal digits."""
    spec: GeneratorSpec
    kimg: float
    """Thousands of real pictures shown to the discriminator."""
    title: str
    """A name for people; the file's name where none was given."""
    source: str
    """Where the weights come from: the tool and command, or the original file."""
    licence: str
    """Licence of the weights."""
    data: str
    """Credit and licence of the training data."""
    metrics: Mapping[str, Any]
    created: str
    """ISO 8601 time in UTC."""
    bytes: int
    """Size of the file."""
    has_discriminator: bool
    discriminator: DiscriminatorSpec
    """What its discriminator is, where it has one."""
    parents: tuple[Mapping[str, str], ...] = ()
    """Models that this one was blended from: title, digest and licence of each."""
    classes: tuple[str, ...] = ()
    """Names of the classes in the order of their numbers; empty where they have none."""
    training: Mapping[str, str | float] = field(default_factory=dict)
    """How the weights were trained: `command`, `hardware`, `seconds` and what else is told."""
    about: str = ""
    """Words for people: what the model shows, what is weak."""
    cover: int = 0
    """Seed of the picture that stands for it in lists."""

    @property
    def training_words(self) -> dict[str, str]:
        """`training` for people: seconds as hours and minutes."""
        words = {name: str(value) for name, value in self.training.items()}
        if isinstance(seconds := self.training.get("seconds"), int | float):
            words["seconds"] = runs.format_seconds(float(seconds))
        return words

    def class_name(self, label: int) -> str:
        """What the class of a number is called: its name, or the number itself."""
        return self.classes[label] if 0 <= label < len(self.classes) else str(label)

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    @property
    def folder(self) -> Path:
        """`checkpoints/NAME/`, the folder for favourites, directions and saved w_plus; not created here."""
        return workspace.kept_folder(self.path)


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """Return the safetensors header as a dict and the file's size, having checked that the tensors are all there."""
    try:
        size = check_regular(path).st_size
        if path.suffix.lower() in FOREIGN_SUFFIXES:
            words = ["import", str(path), "--dest", f"checkpoints/{path.stem}{SUFFIX}"]
            hint = f"import it first: python -m ganlib {shlex.join(words)}"
            raise CheckpointError(f"{path.name} is a model of another tool", hint)
        with open_regular(path) as stream:
            prefix = stream.read(8)
            if len(prefix) < 8:
                raise CheckpointError(f"{path.name} has {size} bytes, too few for a model", _DAMAGED)
            (length,) = struct.unpack("<Q", prefix)
            if length > min(MAX_HEADER_BYTES, size - 8):
                raise CheckpointError(
                    f"{path.name} is not a safetensors file, or it is truncated",
                    "models of this studio are .safetensors files; if this is one, copy it again",
                )
            raw = stream.read(length)
    except FileNotFoundError as error:
        raise CheckpointError(f"no model file at {path}", "see `python -m ganlib models` for what is there") from error
    except (NotRegularError, IsADirectoryError) as error:
        message = f"{path.name} is no file: {error.strerror}"
        raise CheckpointError(message, "models of this studio are .safetensors files") from error
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror}", "check the path and its permissions"
        ) from error
    try:
        header = json.loads(raw)
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        end = max(ends, default=0)
        assert isinstance(end, int)
    except (ValueError, KeyError, TypeError, IndexError, AssertionError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path.name} has a header that cannot be read", _DAMAGED) from error
    if 8 + length + end != size:
        raise CheckpointError(
            f"{path.name} is truncated: {size} bytes where its header says {8 + length + end}", _DAMAGED
        )
    return header, size


def read_card(path: Path) -> Checkpoint:
    """Read a model's card from its header; no tensor is touched. Raises `CheckpointError`."""
    path = Path(path)
    header, size = _read_header(path)
    metadata = header.get("__metadata__")
    text = metadata.get(KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise CheckpointError(
            f"{path.name} is a safetensors file of another program", f"a model of this studio has {KEY!r} in its header"
        )
    try:
        card = json.loads(text)
        version = card["format"]
        kimg = float(card.get("kimg", 0.0))
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise CheckpointError(f"{path.name} has a damaged card", _DAMAGED) from error
    if version not in (1, FORMAT):
        raise CheckpointError(
            f"{path.name} has format {str(version)[:20]}; this version reads 1 to {FORMAT}", "update Latent Atelier"
        )
    metrics, digest = card.get("metrics"), card.get("digest")
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise CheckpointError(f"{path.name} has no digest", _DAMAGED)
    try:
        spec = GeneratorSpec.from_dict(card.get("spec"))
        networks.check_spec(spec)
        judge = DiscriminatorSpec.from_dict(card["discriminator"]) if "discriminator" in card else DiscriminatorSpec()
    except CheckpointError as error:
        raise CheckpointError(f"{path.name}: {error.message}", error.hint) from error
    return Checkpoint(
        path=path,
        digest=digest if version == FORMAT else model_digest(digest, spec),
        spec=spec,
        kimg=kimg if math.isfinite(kimg) else 0.0,
        title=str(card.get("title") or path.stem),
        source=str(card.get("source", "")),
        licence=str(card.get("licence", "")),
        data=str(card.get("data", "")),
        metrics=metrics if isinstance(metrics, dict) else {},
        created=str(card.get("created", "")),
        bytes=size,
        has_discriminator=any(name.startswith("D.") for name in header),
        discriminator=judge,
        parents=_read_parents(card.get("parents")),
        classes=_read_classes(card.get("classes"), spec.label_dim),
        training=_read_training(card.get("training")),
        about=str(card.get("about") or "")[:MAX_ABOUT],
        cover=cover if isinstance(cover := card.get("cover"), int) and 0 <= cover < 2**32 else 0,
    )


def _read_parents(value: Any) -> tuple[Mapping[str, str], ...]:
    rows = [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
    return tuple({name: str(row.get(name, ""))[:200] for name in ("title", "digest", "licence")} for row in rows[:16])


def _read_classes(value: Any, label_dim: int) -> tuple[str, ...]:
    names = tuple(str(name)[:80] for name in value) if isinstance(value, list) else ()
    return names if len(names) == label_dim else ()  # names of only some classes would stand beside the wrong ones


def _read_training(value: Any) -> Mapping[str, str | float]:
    rows = list(value.items())[:16] if isinstance(value, dict) else []
    # Numbers that are none, or that no time can be made of, are left out: the file may be anybody's.
    return {
        str(name)[:40]: value[:2000] if isinstance(value, str) else value
        for name, value in rows
        if isinstance(value, str) or (isinstance(value, int | float) and abs(value) < 1e15)
    }


def _model_files(root: Path) -> list[Path]:
    bundled = workspace.bundled_root() if root.resolve() == workspace.checkpoints_root().resolve() else None
    found = [*bundled.glob(f"*{SUFFIX}")] if bundled else []
    found += root.glob(f"*{SUFFIX}")  # a model of one's own hides a bundled one of its name
    # Names that begin with a dot are files still being written.
    by_name = {p.stem: p for p in found if not p.name.startswith(".") and p.is_file()}
    return [by_name[name] for name in sorted(by_name)]  # by the whole name, "fruit-dcgan" would come before "fruit"


def list_checkpoints(root: Path) -> tuple[list[Checkpoint], list[GanlibError]]:
    """Return the models in a folder, sorted by name, and one error for each file that is none. Reads headers only.

    To those of the workspace belong the bundled ones of an installed package."""
    good: list[Checkpoint] = []
    bad: list[GanlibError] = []
    for path in _model_files(Path(root)):
        try:
            good.append(read_card(path))
        except GanlibError as error:
            bad.append(error)
    return good, bad


def find_checkpoint(text: str, root: Path = Path("checkpoints")) -> Path:
    """Return the path of a model named by path, or by bare name below `root`, with or without `.safetensors`.

    Raises `CheckpointError` that lists what is available."""
    given = Path(text)
    tries = [given, given.with_name(given.name + SUFFIX)] if given.name else []
    for path in tries:
        if path.is_file():
            return path
    known = {p.stem: p for p in _model_files(root)}
    if text.removesuffix(SUFFIX) in known:
        return known[text.removesuffix(SUFFIX)]
    names = ", ".join(known)
    raise CheckpointError(f"no model named {text!r}", f"available in {root}: {names or 'none'}")


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the sha256 over names, dtypes, shapes and bytes of the tensors, in order of name."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()


def model_digest(tensors: str, spec: GeneratorSpec) -> str:
    """Return the digest of a model: sha256 over the tensors' digest and the spec as JSON with sorted keys."""
    canonical = json.dumps(spec.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(f"{tensors}|{canonical}".encode()).hexdigest()


def save_snapshot(
    path: Path,
    *,
    G_ema: Generator,
    D: Discriminator | None = None,
    kimg: float = 0.0,
    title: str = "",
    source: str = "",
    licence: str = "",
    data: str = "",
    metrics: Mapping[str, Any] | None = None,
    half: bool = False,
    parents: Iterable[Mapping[str, str]] = (),
    classes: Iterable[str] = (),
    training: Mapping[str, str | float] | None = None,
    about: str = "",
    cover: int = 0,
) -> Checkpoint:
    """Write a model and return its card. `half` stores floating tensors in half precision; they load as float32.

    `parents` are title, digest and licence of the models it was blended from; `classes`, `training`, `about` and
    `cover` as in `Checkpoint`.

    The file appears whole or not at all. Raises `CheckpointError` when a weight is not finite, or does not fit half
    precision, or when the disk is full."""
    tensors: dict[str, Tensor] = {}
    for prefix, module in (("G_ema", G_ema), ("D", D)):
        for name, tensor in module.state_dict().items() if module is not None else ():
            tensor = tensor.detach().cpu()
            if half and tensor.dtype == torch.float32:
                tensor = tensor.half()
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise CheckpointError(
                    f"tensor {prefix}.{name} is not finite" + (" in half precision" if half else ""),
                    "store it in full precision" if half else "training diverged: go back to an earlier snapshot",
                )
            tensors[f"{prefix}.{name}"] = tensor.contiguous()
    digest = model_digest(tensors_digest(tensors), G_ema.spec)
    card = {
        "format": FORMAT, "digest": digest, "spec": G_ema.spec.to_dict(), "kimg": kimg, "title": title,
        "source": source, "licence": licence, "data": data, "metrics": dict(metrics or {}),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    if D is not None and D.own_spec.kind != "own":
        card["discriminator"] = D.own_spec.to_dict()
    if parents := [dict(parent) for parent in parents]:
        card["parents"] = parents
    optional = {"classes": list(classes), "training": dict(training or {}), "about": about, "cover": cover}
    card |= {name: value for name, value in optional.items() if value}
    path = Path(path)
    try:
        with runs.replacing(path) as temporary:
            safetensors.torch.save_file(tensors, temporary, metadata={KEY: json.dumps(card)})
            temporary.chmod(0o644)  # safetensors writes files that only their owner may read
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(
            f"{path} could not be written: {reason(error)}", "free some disk space; nothing was lost"
        ) from error
    return read_card(path)


def change_card(
    path: Path,
    *,
    title: str | None = None,
    licence: str | None = None,
    data: str | None = None,
    metrics: Mapping[str, Any] | None = None,
    about: str | None = None,
    cover: int | None = None,
) -> Checkpoint:
    """Write words of a model's card anew and return it; what is None stays, `metrics` are added to those there are.

    The tensors are copied byte by byte, and the digest stays: the model makes the same pictures. Raises
    `CheckpointError` as `read_card`, and on a full disk; `InputError` for a licence that allows more than that of a
    model which this one was blended from."""
    old = read_card(_of_ones_own(path))
    for parent in old.parents:
        bound = parent["licence"]
        if licence is not None and read_licence(bound) is not UNKNOWN and stricter(licence, bound) != licence:
            raise InputError(
                f"{old.title} was blended from {parent['title']}, which stands under {bound}: it cannot be {licence}",
                f"leave it at {old.licence}, or choose a stricter one",
            )
    header, _ = _read_header(old.path)
    card = json.loads(header["__metadata__"][KEY])
    words = {"title": title, "licence": licence, "data": data, "about": about, "cover": cover}
    card |= {name: value for name, value in words.items() if value is not None}
    card["metrics"] = dict(old.metrics) | dict(metrics or {})
    header["__metadata__"][KEY] = json.dumps(card)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format aligns its tensors by spaces after the header
    try:
        with open_regular(old.path) as source, runs.replacing(old.path) as temporary:
            (length,) = struct.unpack("<Q", source.read(8))
            source.seek(8 + length)
            with temporary.open("wb") as stream:
                stream.write(struct.pack("<Q", len(text)) + text)
                shutil.copyfileobj(source, stream, 2**20)
            temporary.chmod(0o644)
    except OSError as error:
        what = f"{path} could not be written: {reason(error)}"
        raise CheckpointError(what, "free some disk space; nothing was lost") from error
    return read_card(old.path)


def _of_ones_own(path: Path) -> Path:
    """Return the path of a model's file. Raises `CheckpointError` for one that belongs to the installed package."""
    if workspace.is_bundled(Path(path)):
        message = f"{Path(path).stem} comes with the studio and stays as it is"
        raise CheckpointError(message, "train, tune or blend one of your own")
    return Path(path)


def rename_checkpoint(path: Path, name: str) -> Checkpoint:
    """Give a model's file, and the folder beside it, another name in the same place; return its card.

    Raises `InputError` for a name that is none or is taken."""
    old = read_card(_of_ones_own(path))
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", name) or name.endswith((".", SUFFIX)):
        raise InputError(f"{name[:80]!r} is no name of a model", "use letters, digits, '-', '_' and '.'; 80 at most")
    new = old.path.with_name(name + SUFFIX)
    if new.exists() or (old.folder.is_dir() and new.with_suffix("").exists()):
        raise InputError(f"there is a model or a folder {name} already", "choose another name")
    has_folder = old.folder.is_dir()
    old.path.rename(new)
    if has_folder:
        old.folder.rename(old.path.with_name(name))
    return read_card(new)


def remove_checkpoint(path: Path) -> None:
    """Delete a model and the folder beside it with favourites and directions. Raises `CheckpointError` where there is
    none, or where `path` is no model's."""
    path = Path(path)
    if path.suffix != SUFFIX or not path.is_file():
        raise CheckpointError(f"no model file at {path}", "see `python -m ganlib models` for what is there")
    folder = _of_ones_own(path).with_suffix("")
    try:
        path.unlink()
        if folder.is_symlink():
            folder.unlink()
        elif folder.is_dir():
            shutil.rmtree(folder)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be deleted: {error.strerror}", "check its permissions") from error


def _load(
    path: Path, prefix: str, build: Callable[[GeneratorSpec], nn.Module], device: str | torch.device, verify: bool
) -> nn.Module:
    """Build the network on `meta` and assign the stored tensors once."""
    card = read_card(path)
    try:
        check_regular(path)
        with safetensors.safe_open(path, framework="pt", device="cpu") as stream:
            names: Iterable[str] = stream.keys()
            tensors = {name: stream.get_tensor(name) for name in names if verify or name.startswith(f"{prefix}.")}
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{Path(path).name} cannot be read: {reason(error)}", _DAMAGED) from error
    if verify and model_digest(tensors_digest(tensors), card.spec) != card.digest:
        raise CheckpointError(f"{card.path.name} does not match its own digest: weights or spec differ", _DAMAGED)
    with torch.device("meta"):
        module = build(card.spec)
    state = {name.removeprefix(f"{prefix}."): t for name, t in tensors.items() if name.startswith(f"{prefix}.")}
    state = {n: (t.to(device, torch.float32) if t.is_floating_point() else t.to(device)) for n, t in state.items()}
    try:
        module.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        detail = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{Path(path).name}: tensors and spec disagree: {detail}", _DAMAGED) from error
    return module.to(device).eval().requires_grad_(False)


def load_generator(path: Path, *, device: str | torch.device = "cpu", verify: bool = True) -> Generator:
    """Return the generator (moving-average weights) in evaluation mode, float32, without gradients.

    `verify` recomputes the digest. Raises `CheckpointError` for a truncated, foreign or altered file."""
    module = _load(Path(path), "G_ema", networks.build_generator, device, verify)
    assert isinstance(module, Generator)
    return module


def load_discriminator(path: Path, *, device: str | torch.device = "cpu", verify: bool = True) -> Discriminator:
    """Return the discriminator; raises `InputError` when the file holds none, `CheckpointError` as `load_generator`."""
    card = read_card(path)
    if not card.has_discriminator:
        raise InputError(f"{Path(path).name} holds no discriminator", "choose a training snapshot of this studio")
    module = _load(Path(path), "D", lambda spec: networks.build_discriminator(spec, card.discriminator), device, verify)
    assert isinstance(module, Discriminator)
    return module
