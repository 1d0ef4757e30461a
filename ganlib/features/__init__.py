"""Pictures as vectors and distances that mean something."""
