"""The parts of the Project page."""
