"""The kernel that replaces 8-bit RGB pixels by labels through a table of all colors."""

from numba import prange

from fastkq.kernels.compile import kernel

N_BLOCKS = 64  # of pixels, for the threads


@kernel(parallel=True)
def remap_pixels(
    pixels,  # (N, 3) uint8, IN
    spread,  # (3, 256) uint32, IN: the Morton bits of each channel's values
    table,  # (2^24,) uint8, IN: the label of each color by its Morton code
    labels,  # (N,) uint8, OUT
):
    """Look up the label of every pixel."""
    n_pixels = pixels.shape[0]
    for block in prange(N_BLOCKS):
        red, green, blue = spread[0], spread[1], spread[2]
        for i in range(n_pixels * block // N_BLOCKS, n_pixels * (block + 1) // N_BLOCKS):
            labels[i] = table[red[pixels[i, 0]] | green[pixels[i, 1]] | blue[pixels[i, 2]]]
