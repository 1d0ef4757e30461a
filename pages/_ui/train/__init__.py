"""The parts of the Train page."""

from pages._ui.common.place import Place

place = Place("train", paths=("folder", "from", "data", "resume"))
