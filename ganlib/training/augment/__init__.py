"""What changes the pictures that the discriminator sees."""
