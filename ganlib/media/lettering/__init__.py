"""Words in pictures: for every run of letters a font that has them, in reading order, in lines that fit.

faces     fonts: the one that a person names, the bundled one, those of the system; which letters each has
layout    runs, directions and lines; `Letters` measures and draws

The bundled font is DejaVu Sans 2.37 without hinting, cut down to Latin, Greek, Cyrillic, Hebrew, Arabic and signs.
"""

from ganlib.media.lettering.faces import Face, open_face
from ganlib.media.lettering.layout import Letters, can_shape

__all__ = ["Face", "Letters", "can_shape", "open_face"]
