"""Generators as programs that need none of this studio's code: ONNX, and PyTorch's `torch.export`.

Whole: z `[N, z_dim]`, psi `[]` where the model truncates, label `[N, label_dim]` one-hot where it has classes → image
`[N, C, R, R]` clamped to [-1, 1], with the stored noise. In two parts: z (and label) → w `[N, w_dim]`, without
truncation, and w_plus `[N, num_ws, w_dim]` → image. All numbers are float32, and N is free.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganlib.base.errors import InputError
from ganlib.base.options import Choice
from ganlib.models.export.about import KEY
from ganlib.networks.base import Generator

OPSET = 18
PARTS = {
    "whole": Choice("the whole", "z, psi and label to picture"),
    "mapping": Choice("mapping alone", "z and label to w"),
    "synthesis": Choice("synthesis alone", "w_plus to picture"),
}
"""What of a generator one file may hold."""
TOLERANCE = 1e-2
"""Largest difference of an exported program's picture, in its range of 2; rounding stays a hundred times below."""
_BATCH = 2  # of the pictures that a program is traced and tried with
_SEED = 0
_NEEDS = ("onnx", "onnxscript")


class _Mapping(nn.Module):
    def __init__(self, G: Generator) -> None:
        super().__init__()
        self.G = G

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        return self.G.mapping(z, label)


class _Synthesis(nn.Module):
    def __init__(self, G: Generator) -> None:
        super().__init__()
        self.G = G

    def forward(self, w_plus: Tensor) -> Tensor:
        modes = self.G.spec.noise_modes
        return self.G.synthesis(w_plus, noise_mode="const" if "const" in modes else modes[0]).clamp(-1.0, 1.0)


class _Whole(_Synthesis):
    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        return self.picture(self.G.mapping(z, label))

    def picture(self, w: Tensor) -> Tensor:
        """w `[N, w_dim]` → image, one w for all style inputs."""
        return super().forward(w[:, None].repeat(1, self.G.spec.num_ws, 1))


class _Truncated(_Whole):
    def forward(self, z: Tensor, psi: Tensor, label: Tensor | None = None) -> Tensor:  # type: ignore[override]
        w = self.G.mapping(z, label)
        return self.picture(self.G.w_avg + psi * (w - self.G.w_avg))


def program_of(G: Generator, part: str) -> tuple[nn.Module, dict[str, Tensor]]:
    """Return a module that is one of `PARTS`, and an example of its inputs by name in their order."""
    spec = G.spec
    rng = torch.Generator().manual_seed(_SEED)
    if part == "synthesis":
        w_plus = torch.randn(_BATCH, spec.num_ws, spec.w_dim, generator=rng)
        return _Synthesis(G).eval(), {"w_plus": w_plus}
    inputs = {"z": torch.randn(_BATCH, spec.z_dim, generator=rng)}
    truncates = part == "whole" and spec.truncatable
    if truncates:
        inputs["psi"] = torch.tensor(0.7)
    if spec.label_dim:
        inputs["label"] = torch.eye(spec.label_dim)[torch.arange(_BATCH) % spec.label_dim]
    if part == "mapping":
        return _Mapping(G).eval(), inputs
    return (_Truncated if truncates else _Whole)(G).eval(), inputs


def write_torch(G: Generator, path: Path, part: str, facts: Mapping[str, str]) -> float:
    """Write a `.pt2` program and return its largest difference from the generator; raises `InputError`."""
    module, inputs = program_of(G, part)
    with _tracing(module, inputs) as (expected, shapes):
        program = torch.export.export(module, tuple(inputs.values()), dynamic_shapes=shapes)
        torch.export.save(program, path, extra_files={f"{KEY}.json": json.dumps(dict(facts))})
        again = torch.export.load(path).module()
    with torch.no_grad():
        return _difference(again(*inputs.values()), expected)


def write_onnx(G: Generator, path: Path, part: str, facts: Mapping[str, str]) -> float | None:
    """Write an ONNX graph of opset `OPSET` and return its largest difference from the generator, None where the
    package onnxruntime is not there to run it; raises `InputError`."""
    if missing := [name for name in _NEEDS if importlib.util.find_spec(name) is None]:
        raise InputError(
            f"ONNX files need the package{'s' if len(missing) > 1 else ''} {' and '.join(missing)}",
            "install them: python -m pip install onnx onnxscript onnxruntime",
        )
    module, inputs = program_of(G, part)
    with _tracing(module, inputs) as (expected, shapes):
        program = torch.onnx.export(
            module, tuple(inputs.values()), dynamo=True, dynamic_shapes=shapes, opset_version=OPSET, verbose=False,
            input_names=list(inputs), output_names=["w" if part == "mapping" else "image"],
        )  # fmt: skip
        assert program is not None
        program.model.metadata_props.update(facts)
        program.model.producer_name, program.model.producer_version = "Latent Atelier", None
        program.save(path, external_data=False)
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    return _difference(torch.from_numpy(run_onnx(path, inputs)), expected)


def run_onnx(path: Path, inputs: Mapping[str, Tensor]) -> Any:
    """Return the one output of an ONNX file as an array; needs the package onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})[0]


@contextmanager
def _tracing(module: nn.Module, inputs: Mapping[str, Tensor]) -> Iterator[tuple[Tensor, tuple[Any, ...]]]:
    """Yield the module's output and the shapes that are free, and let the plain forms of operations be traced.

    With gradients on, layers keep no transformed weights and branch on no batch size."""
    with torch.no_grad():
        expected = module(*inputs.values())
    batch = torch.export.Dim("batch", min=1)
    shapes = tuple({0: batch} if tensor.ndim else {} for tensor in inputs.values())
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)  # it warns of other packages that are not there
    try:
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")  # of PyTorch about itself
            yield expected, shapes
    finally:
        log.setLevel(level)


def _difference(got: Tensor, expected: Tensor) -> float:
    difference = float((got - expected).abs().max()) if got.shape == expected.shape else float("inf")
    if not difference <= TOLERANCE * max(1.0, float(expected.abs().max())):
        raise InputError(
            f"the exported program differs from the model by {difference:.2g}: nothing was written",
            "choose another format, and report this model's spec",
        )
    return difference


Writer = Callable[[Generator, Path, str, Mapping[str, str]], float | None]
