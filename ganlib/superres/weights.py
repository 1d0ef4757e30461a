"""Files of upscaling networks: our own with a card in the header, and those of other tools, opened safely."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ganlib.base.errors import CheckpointError
from ganlib.base.filesystem import check_regular, open_regular, reason
from ganlib.models.foreign.pickles import Budget, Stream
from ganlib.models.foreign.torchfiles import LEGACY_MAGIC, read_legacy, read_zip
from ganlib.models.foreign.values import ALLOWED, View
from ganlib.runs import replacing
from ganlib.superres.networks import NetworkSpec, UpscalerNetwork, infer_spec, known_families, load_tensors, tensors_of

KEY = "latent-atelier-upscaler"
SUFFIXES = (".safetensors", ".pth", ".pt")
MOST_BYTES = 2**31
_DAMAGED = "the file is damaged or was not fully copied; copy it again"
_NONSENSE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError)  # of any depth


@dataclass(frozen=True)
class Card:
    """What is known of an upscaling network besides its tensors."""

    title: str
    licence: str = ""
    """An identifier of SPDX; empty where it is not known."""
    data: str = ""
    """Credit and licence of the training data."""
    source: str = ""
    """The command that made it, or where it comes from."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Of held-out pictures."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class OpenedNetwork:
    """A network from a file."""

    network: UpscalerNetwork
    """In evaluation mode, float32, without gradients, on the CPU."""
    card: Card
    digest: str
    """sha256 of the file, in hex."""


def save(path: Path, spec: NetworkSpec, network: UpscalerNetwork, card: Card) -> Path:
    """Write a network in half precision, with its spec and card in the header, and return `path`."""
    tensors = {name: tensor.detach().cpu().to(torch.float16) for name, tensor in network.state_dict().items()}
    header = {KEY: json.dumps({"format": 1, "spec": spec.to_dict()} | card.to_dict())}
    with replacing(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, header)
        temporary.chmod(0o644)
    return path


def read_card(path: Path) -> Card | None:
    """Return the card in the header of one of our files; None for a file without. Raises CheckpointError."""
    try:
        check_regular(path, max_bytes=MOST_BYTES)
        with safetensors.safe_open(path, framework="pt", device="cpu") as stream:
            text = (stream.metadata() or {}).get(KEY)
        if text is None:
            return None
        card = json.loads(text)
        metrics = {str(name): float(value) for name, value in dict(card.get("metrics") or {}).items()}
        words = {name: str(card.get(name, ""))[:2000] for name in ("title", "licence", "data", "source")}
    except (OSError, safetensors.SafetensorError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path.name} cannot be read: {reason(error)}", _DAMAGED) from error
    return Card(**words, metrics=metrics)


def open_network(path: Path) -> OpenedNetwork:
    """Return the network in a .safetensors, .pth or .pt file; nothing in the file is executed.

    Architectures that are not ours are left to spandrel where it is installed, which gets tensors alone. Raises
    CheckpointError for a file that is missing, damaged, hostile or of an unknown architecture."""
    path = Path(path)
    try:
        size = check_regular(path).st_size if path.exists() else -1
        if size < 0:
            raise CheckpointError(f"no upscaling model at {path}", "check the path")
        if size > MOST_BYTES:
            raise CheckpointError(f"{path.name} has {size / 2**30:.1f} GiB", "upscaling models have at most 2 GiB")
        card = Card(title=path.stem)
        if path.suffix.lower() == ".safetensors":
            tensors = tensors_of(safetensors.torch.load_file(path, device="cpu"))
            card = read_card(path) or card
        else:
            tensors = tensors_of(_read_torch(path, size))
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise CheckpointError(f"the tensor {name[:60]!r} holds numbers that are not finite", _DAMAGED)
        spec = infer_spec(tensors)
        network = load_tensors(spec, tensors) if spec is not None else _through_spandrel(tensors)
        with open_regular(path) as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path.name} cannot be read: {reason(error)}", _DAMAGED) from error
    except MemoryError as error:
        raise CheckpointError(f"{path.name} does not fit in memory", "close other programs") from error
    except CheckpointError as error:
        if path.name in error.message:
            raise
        raise CheckpointError(f"{path.name}: {error.message}", error.hint) from error
    except _NONSENSE as error:  # what the readers did not think of: a file that makes no sense
        raise CheckpointError(f"{path.name}: its numbers make no upscaler ({type(error).__name__})", _DAMAGED) from (
            error
        )
    return OpenedNetwork(network, card, digest)


def _read_torch(path: Path, size: int) -> Any:
    """What a PyTorch file holds, its tensors read; by the reader that has no way to call anything a file names."""
    with open_regular(path) as file:
        head = file.read(16)
        file.seek(0)
        stream, budget = Stream(file, size), Budget(size)
        asked: set[str] = set()
        if head.startswith(b"PK\x03\x04"):
            value = read_zip(stream, ALLOWED, budget, asked)
        elif head.startswith(LEGACY_MAGIC):
            value = read_legacy(stream, ALLOWED, budget, asked)
        else:
            kind = "a page of the web" if head.lstrip()[:1] == b"<" else "no model of a known format"
            raise CheckpointError(f"the file is {kind}", "download the file itself, not a page about it")
        return _with_tensors(value)


def _with_tensors(value: Any, depth: int = 0) -> Any:
    if isinstance(value, View):
        return value.tensor()
    if isinstance(value, Mapping) and depth < 3:
        return {name: _with_tensors(item, depth + 1) for name, item in value.items()}
    return value


class _Spandrel(UpscalerNetwork):
    """A network that spandrel knows."""

    def __init__(self, descriptor: Any) -> None:
        super().__init__()
        self.descriptor = descriptor
        self.inner = descriptor.model
        self.scale, self.reach, self.floats_per_pixel = int(descriptor.scale), 32, 4096
        self.title = f"{descriptor.architecture.name} ×{self.scale}"

    def forward(self, rgb: Tensor) -> Tensor:
        """RGB `[N, 3, H, W]` in [0, 1] → `[N, 3, scale·H, scale·W]`; the descriptor pads to sizes that it needs."""
        out: Tensor = self.descriptor(rgb)
        return out


def _through_spandrel(tensors: dict[str, Tensor]) -> UpscalerNetwork:
    try:
        spandrel = importlib.import_module("spandrel")
    except ImportError:
        raise CheckpointError(
            "an upscaler of an architecture that is not built in",
            f"{known_families()}: pip install 'latent-atelier[spandrel]' (it brings torchvision)",
        ) from None
    try:
        descriptor = spandrel.ModelLoader(device="cpu").load_from_state_dict(tensors)
    except spandrel.UnsupportedModelError as error:
        raise CheckpointError("an architecture that spandrel does not know either", known_families()) from error
    if getattr(descriptor, "input_channels", 3) != 3 or getattr(descriptor, "output_channels", 3) != 3:
        raise CheckpointError("its network does not take and give RGB pictures", known_families())
    return _Spandrel(descriptor.eval()).eval().requires_grad_(False)
