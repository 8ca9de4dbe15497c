"""K-means over colors: from seeds to a palette."""
