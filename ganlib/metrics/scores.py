"""The Inception score: how sure a classifier is of each picture, and how different the pictures are to it."""

from __future__ import annotations

import numpy as np
import torch

from ganlib.base.errors import InputError
from ganlib.metrics.distances import GROUPS, ROWS


def inception_score(vectors: np.ndarray, classifier: np.ndarray) -> tuple[float, float]:
    """exp(E KL(p(y|x) ‖ p(y))) of features `[N, dim]` and a classifier `[classes, dim]` (Salimans et al., 2016).

    Mean and standard deviation over ten splits, as the usual tools give them; 1 at least, and as many as there are
    classes at most. Raises `InputError` for fewer than 20 pictures."""
    if len(vectors) < 2 * GROUPS:
        raise InputError(f"an Inception score of {len(vectors)} pictures says nothing", f"use {2 * GROUPS} or more")
    weights = torch.from_numpy(classifier).double()
    scores = []
    for part in np.array_split(vectors, GROUPS):
        total, entropy = torch.zeros(len(weights), dtype=torch.float64), 0.0
        for start in range(0, len(part), ROWS):
            rows = torch.from_numpy(np.array(part[start : start + ROWS], np.float64))
            log_p = (rows @ weights.T).log_softmax(dim=1)
            total += log_p.exp().sum(dim=0)
            entropy -= float((log_p.exp() * log_p).sum())
        marginal = total / len(part)
        kl = -entropy / len(part) - float(torch.xlogy(marginal, marginal).sum())
        scores.append(np.exp(kl))
    return float(np.mean(scores)), float(np.std(scores))
