"""The parts of the Drop page."""
