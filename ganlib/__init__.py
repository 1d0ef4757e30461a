"""ganlib: the library under Latent Atelier. Importing it does nothing; each module is imported by name."""

__version__ = "0.2.0"
