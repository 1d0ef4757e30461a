"""Training sets: square pictures in a zip, read by `Dataset` and made from any pictures by `prepare`."""

from ganlib.dataset.config import PrepareConfig
from ganlib.dataset.prepare import prepare, run_job
from ganlib.dataset.reader import Dataset
from ganlib.dataset.report import PrepareReport

__all__ = ["Dataset", "PrepareConfig", "PrepareReport", "prepare", "run_job"]
