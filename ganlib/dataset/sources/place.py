"""What a source has become: files in one place, and what is known of them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Located:
    """A folder or zip, and what is known of it besides."""

    path: Path
    failed: dict[str, str] = field(default_factory=dict)
    """What could not be fetched, and why."""
    own: tuple[str, ...] = ()
    """Files in the folder that are no part of the source."""
    temporary: bool = False
    """Whether the folder was made for this preparation alone."""
    licence: str = ""
    credit: str = ""

    def finish(self) -> None:
        """Remove what was made for this preparation alone."""
        if self.temporary:
            shutil.rmtree(self.path, ignore_errors=True)
