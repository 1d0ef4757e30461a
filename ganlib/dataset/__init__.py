"""Training sets: square pictures in a zip, read by `Dataset` and made from any pictures by `prepare`."""

from ganlib.dataset.config import PrepareConfig
from ganlib.dataset.prepare import PrepareReport, prepare, run_job
from ganlib.dataset.reader import Dataset

__all__ = ["Dataset", "PrepareConfig", "PrepareReport", "prepare", "run_job"]
