"""What is known of an image: its distinct colors, their spaces, weights and errors."""
