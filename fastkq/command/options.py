"""From arguments to the keywords of the functions."""

from __future__ import annotations

import argparse
from typing import Any

from fastkq.defaults import choose_look
from fastkq.files.formats import OXIPNG
from fastkq.files.read import read_weights


def job_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return what decides over the colors of one image and of many, but how many colors.

    Of the look, only what is said; see `fastkq.defaults.choose_look`.
    """
    look = {
        "effort": options.effort,
        "color_space": options.color_space,
        "dither": options.dither,
        "lossy": options.lossy,
        "masking": options.masking,
    }
    return {
        **{name: value for name, value in look.items() if value is not None},
        "locked": options.lock,
        "protect": options.protect,
        "paper": options.paper,
        "dither_strength": options.dither_strength,
        "quality": options.quality,
        "max_mse": options.max_mse,
        "min_psnr": options.min_psnr,
        "max_bytes": options.max_bytes,
        "background": options.background,
        "transparent": options.transparent,
        "score": options.score,
        "min_score": options.min_score,
        "frame": options.frame,
        "frame_palettes": options.frame_palettes,
        "page": options.page,
        "icc": options.icc,
        "metadata": options.metadata,
        "bit_depth": options.bit_depth,
        "max_pixels": options.max_pixels,
        "allow_truncated": options.allow_truncated,
        "durable": options.durable,
        "verify": options.verify or options.in_place,
        "preserve": options.preserve,
        "optimize": OXIPNG if options.oxipng else options.optimize,
    }


def color_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return what decides over the colors of one image, as `fastkq.quantize` takes it."""
    weights = None if options.weights is None else read_weights(options.weights)
    chosen = choose_look({**job_options(options), "weights": weights}, options.palette)
    return {"n_colors": options.colors, **chosen}
