"""The parts of the Data sets page."""

from pages._ui.place import Place

place = Place("datasets", paths=("set", "source"))
