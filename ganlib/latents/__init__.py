"""What a picture is made from: recipes, edits, favourites, and ways through latent space."""
