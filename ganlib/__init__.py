"""ganlib: the library under Latent Atelier. Importing it does nothing; each module is imported by name."""

__version__ = "0.1.0"
