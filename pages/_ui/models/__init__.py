"""The parts of the Models page."""

from pages._ui.place import Place

place = Place("models")
