"""Training: configuration, losses, augmentation and the loop."""

from ganlib.training.config import TrainConfig
from ganlib.training.loop import run_job, train
from ganlib.training.presets import PRESETS

__all__ = ["PRESETS", "TrainConfig", "run_job", "train"]
