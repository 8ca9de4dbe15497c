"""The way of an animation: all frames counted, one palette fitted, frame drawn upon frame."""
