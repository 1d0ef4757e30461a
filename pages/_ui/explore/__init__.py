"""What Explore offers below its picture: directions, children, the mixing grid, the map."""
