"""The mapping network of the style-based generators ("A Style-Based Generator Architecture", figure 1b)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganlib.base.errors import InputError
from ganlib.networks import ops
from ganlib.networks.ops import EqualizedLinear


class MappingNetwork(nn.Module):
    """z (and label) → w: an MLP on the normalised input, lrelu, learning 100 times slower than the rest."""

    def __init__(
        self,
        z_dim: int,  # length of z; 0 in the discriminator's label mapping
        label_dim: int,  # number of classes; 0 is unconditional
        w_dim: int,  # length of w
        *,
        num_layers: int = 8,  # fully connected layers after the embedding
        track_w_avg: bool = True,  # keep the running mean of w for truncation
        lr_multiplier: float = 0.01,
    ) -> None:
        super().__init__()
        self.z_dim, self.label_dim, self.num_layers = z_dim, label_dim, num_layers
        if label_dim > 0:
            self.embed = EqualizedLinear(label_dim, w_dim)
        features = z_dim + (w_dim if label_dim > 0 else 0)
        for i in range(num_layers):
            layer = EqualizedLinear(features if i == 0 else w_dim, w_dim, act="lrelu", lr_multiplier=lr_multiplier)
            setattr(self, f"fc{i}", layer)
        if track_w_avg:
            self.register_buffer("w_avg", torch.zeros(w_dim))
            self.w_avg: Tensor

    def forward(self, z: Tensor | None, label: Tensor | None = None) -> Tensor:
        """z `[N, z_dim]`, label `[N, label_dim]` one-hot → w `[N, w_dim]` float32, not truncated."""
        inputs: list[Tensor] = []
        if self.z_dim > 0:
            assert z is not None
            inputs = [z.float()]
        if self.label_dim > 0:
            if label is None:
                raise InputError("this model has classes, and no label was given", "choose a class")
            inputs = [*inputs, self.embed(label.float())]
        w = torch.cat([ops.normalize_2nd_moment(vector) for vector in inputs], dim=1)
        for number in range(self.num_layers):
            w = self.get_submodule(f"fc{number}")(w)
        return w
