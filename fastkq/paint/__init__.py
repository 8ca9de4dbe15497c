"""From a palette to the labels of pixels: nearest entries, or dithered."""
