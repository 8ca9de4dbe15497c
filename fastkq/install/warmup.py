"""Compile every kernel for the array types that the package uses."""

from __future__ import annotations

import io
import time
from functools import partial

import numpy as np

from fastkq import kernels
from fastkq.api import quantize, remap
from fastkq.colors.histogram import ColorHistogram
from fastkq.colors.masking import mask_colors
from fastkq.colors.pixels import OPAQUE, as_rows
from fastkq.colors.ssimulacra2 import Picture, score_pictures
from fastkq.colors.translucent import count_translucent
from fastkq.compression import compress
from fastkq.engine.dense import kmeans
from fastkq.engine.model import Fit
from fastkq.engine.sample import label_cubes
from fastkq.files.formats import GIF
from fastkq.files.frames import Animation
from fastkq.files.gif import encode_gif
from fastkq.files.zlib_streams import deflate_open
from fastkq.kernels import threads
from fastkq.loading import load_kernels
from fastkq.paint.dither import Ditherer, Dithering
from fastkq.paint.labels import Labeler

DITHERINGS = ("diffusion", "ordered", "adaptive")


def warm_up() -> float:
    """Run every kernel once on small data; return the seconds it took."""
    start = time.perf_counter()
    load_kernels()
    compile_cubes()
    compile_optimizing()
    compile_large_png()
    compile_tables()
    compile_diffusion()
    compile_ordered()
    compile_rare_dithering()
    compile_masking()
    compile_lossy()
    compile_lossy_gif()
    compile_alpha()
    compile_scoring()
    compile_animations()
    compile_kmeans_of_points()
    return time.perf_counter() - start


def compile_kmeans_of_points() -> None:
    """Load, or compile, textbook K-means, and what seeds a palette by k-means++."""
    for on_numba_threads in (True, False):
        with threads.always(on_numba_threads):
            for dtype in (np.float32, np.float64):
                kmeans(np.eye(3, dtype=dtype), 2, max_iter=1)


def compile_diffusion() -> None:
    """Load, or compile, the kernels of error diffusion, for opaque images and most palettes.

    The one that takes longest comes first, on a pixel and tables of zeros: meanwhile another
    process compiles those that fill the tables, and this one then loads them.
    """
    pixel = np.zeros((1, 3), np.uint8)
    pixel.flags.writeable = False
    zeros, unit = partial(np.zeros, dtype=np.float32), np.float32(1)
    kernels.dither.diffuse(
        *(pixel, 0, np.zeros((1, 1), np.uint8), unit, zeros(256), np.zeros(1, np.int32)),
        *(zeros((3, 1)), zeros(1), unit, np.zeros(kernels.nearest.N_CELLS, np.int32)),
        *(np.zeros(2, np.int64), np.zeros((1, 4, kernels.nearest.LANES), np.int16)),
        *(np.zeros((1, 1), np.uint8), np.zeros(1, np.int64)),
    )
    for method in ("diffusion", "adaptive"):
        paint(Dithering(method))


def compile_ordered() -> None:
    """Load, or compile, those of ordered dithering, for opaque images and most palettes."""
    paint(Dithering("ordered"))


def paint(dithering: Dithering) -> None:
    """Label a pixel, by no kernels but those of painting: other processes compile the others."""
    palette = np.array([[0, 0, 0], [9, 9, 9]], np.uint8)
    fit = Fit(palette, np.zeros(1, np.uint8), np.zeros(1, np.uint32), 0.0, 0.0, 0)
    Labeler(fit, dithering, 3).label(as_rows(np.zeros((1, 1, 3), np.uint8)))


def compile_tables() -> None:
    """Load, or compile, what every way to dither looks at before: a large palette, and contrast.

    Palettes of up to 16 colors, as those of the other functions, have no tables to compile.
    """
    grays = np.repeat(np.arange(20, dtype=np.uint8)[:, None], 3, axis=1)
    ditherer = Ditherer(grays, Dithering("adaptive"))
    row = np.zeros((1, 3), np.uint8)
    row.flags.writeable = False  # as those of images are
    ditherer.map_contrast(row, 1)


def compile_rare_dithering() -> None:
    """Load, or compile, those of few colors far apart and of alpha; as long as all others."""
    for method in DITHERINGS:
        remap(np.zeros((1, 1, 3), np.uint8), [[0, 0, 0], [255, 255, 255]], dither=method)
        remap(np.zeros((1, 1, 4), np.uint8), [[0, 0, 0, 0], [9, 9, 9, 255]], dither=method)


def compile_masking() -> None:
    """Load, or compile, the kernels that weigh colors by what is seen of them."""
    few = ColorHistogram(np.zeros(1, np.uint32), np.ones(1, np.int64))
    mask_colors(few, [as_rows(np.zeros((1, 4, 3), np.uint8))])


def compile_lossy() -> None:
    """Load, or compile, the kernels of labels by cost."""
    paint(Dithering(lossy=1))


def compile_animations() -> None:
    """Load, or compile, the kernels of animated GIFs, exact and with errors."""
    frames = np.zeros((2, 1, 8, 3), np.uint8)
    frames[0, :, 1:], frames[1, :, 1:] = [9, 9, 9], [200, 9, 9]
    for lossy in (0, 100):
        compress(Animation(frames), format="gif", lossy=lossy)


def compile_lossy_gif() -> None:
    """Load, or compile, the kernels of labels by cost for GIF, and those that write it."""
    paint(Dithering(lossy=1, format=GIF))
    encode_gif(np.zeros((1, 1), np.uint8), np.zeros((1, 3), np.uint8))


def compile_cubes() -> None:
    """Load, or compile, what labels cubes of colors, which `fast` needs."""
    label_cubes(np.zeros((1, 3), np.uint8))


def compile_optimizing() -> None:
    """Load, or compile, the kernels of `best`, and those that write an optimized PNG."""
    few = quantize(np.arange(30, dtype=np.uint8).reshape(1, 10, 3), 2, effort="best")
    few.save(io.BytesIO(), optimize=True)


def compile_large_png() -> None:
    """Load, or compile, the kernels that write the PNG of a large image."""
    deflate_open(b"")


def compile_scoring() -> None:
    """Load, or compile, the kernels of SSIMULACRA 2."""
    picture = Picture(np.zeros((8, 8), np.uint8))
    score_pictures(picture, picture)


def compile_alpha() -> None:
    """Load, or compile, the kernels that images with alpha need."""
    pixels = np.arange(4 * 64, dtype=np.uint8).reshape(1, 64, 4)
    pixels[0, :8, 3] = OPAQUE
    for space in ("srgb", "oklab"):
        quantize(pixels, 4, color_space=space, effort="best")
    colors, _ = count_translucent(pixels.reshape(-1, 4))
    (colors + colors).coarsened(1)
