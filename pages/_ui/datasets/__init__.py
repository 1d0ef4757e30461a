"""The parts of the Data sets page."""

from pages._ui.common.place import Place

place = Place("datasets", paths=("set", "source"))
