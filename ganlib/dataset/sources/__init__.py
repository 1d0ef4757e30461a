"""Where pictures come from: a folder or zip as it is, and what is first made into a folder (see `locate`)."""

from ganlib.dataset.sources.locator import is_ready, locate
from ganlib.dataset.sources.place import Located

__all__ = ["Located", "is_ready", "locate"]
