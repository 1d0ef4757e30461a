"""Pictures of one loaded model, and what is found by looking at many of them."""
