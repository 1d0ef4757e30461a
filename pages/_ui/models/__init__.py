"""The parts of the Models page."""

from pages._ui.common.place import Place

place = Place("models")
