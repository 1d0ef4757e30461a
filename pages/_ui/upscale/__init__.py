"""The Upscale page: what is enlarged, by which model and how far, and what came of it."""
