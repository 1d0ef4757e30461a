"""Training: configuration, losses and the loop."""

from ganlib.training.config import TrainConfig
from ganlib.training.loop import run_job, sample_sheets, train

__all__ = ["TrainConfig", "run_job", "sample_sheets", "train"]
