"""Count the work that fastkq does: exact numbers, the same on every machine.

    python bench/work.py [--json bench/results/work.json]

Wall time on shared machines varies by 20 to 40 %, while the work of fastkq does not: its
iterations, distinct colors and cells, the centers that K-means tests for the boxes around colors
(`tested`) and keeps as the candidates of cells (`candidates`), its distances from colors to these
(`distances`), the groups of entries that dithering may search, errors and bytes.
`tests/test_work.py` compares them with the stored ones and fails where one of them grew, so a
change that costs work has to say so by storing the new numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import report
from PIL import Image

import fastkq
from fastkq.engine.cells import ColorCells
from fastkq.engine.model import FitOptions
from fastkq.engine.opaque import fit_cells
from fastkq.paint.tables import make_tables

IMAGES = Path(__file__).parents[1] / "tests" / "images"
PICTURES = ("kodim03.png", "photo-sunset.png", "windows95.png")
# By name: options of `quantize`, or of `compress` where they are a file's.
FITS = {
    "K = 16": {"n_colors": 16},
    "K = 64": {"n_colors": 64},
    "K = 256": {},
    "K = 256, oklab": {"color_space": "oklab"},
    "K = 256, fast": {"effort": "fast"},
    "K = 64, best": {"n_colors": 64, "effort": "best"},
    "K = 64, k-means++": {"n_colors": 64, "init": "k-means++"},
}
FILES = {
    "default": {},
    "optimize": {"optimize": True},
    "lossy 60": {"lossy": 60},
    "diffusion": {"dither": "diffusion"},
    "adaptive": {"dither": "adaptive"},
    "ordered": {"dither": "ordered"},
    "webp": {"format": "webp"},
    "gif": {"format": "gif"},
}


def soft_alpha(image: np.ndarray) -> np.ndarray:
    """Return an image whose alpha rises from left to right."""
    ramp = np.linspace(0, 255, image.shape[1]).astype(np.uint8)
    alpha = np.broadcast_to(ramp[:, None], (*image.shape[:2], 1))
    return np.concatenate([image, alpha], axis=2)


def count_comparisons(histogram: fastkq.ColorHistogram, options: dict[str, Any]) -> dict[str, int]:
    """Return how often K-means compares colors, or boxes around them, with centers."""
    wanted = FitOptions(**options)
    cells = ColorCells(histogram, wanted.color_space)
    fit_cells(cells, wanted)
    return cells.work


def measure() -> list[report.Row]:
    """Return what each picture takes."""
    rows: list[report.Row] = []
    for name in PICTURES:
        with Image.open(IMAGES / name) as opened:
            image = np.asarray(opened.convert("RGB"))
        histogram = fastkq.color_histogram(image)
        cells = len(ColorCells(histogram).grid_totals)
        rows.append(
            {"picture": name, "what": "histogram", "colors": len(histogram), "cells": cells}
        )
        for what, options in FITS.items():
            result = fastkq.quantize(image, **options)
            row = {"picture": name, "what": what, "iterations": result.n_iter, "mse": result.mse}
            # A picture of few colors is its own palette; a fast fit is one of a sample.
            if result.n_iter > 0 and options.get("effort") != "fast":
                row |= count_comparisons(histogram, options)
            rows.append(row)
        result = fastkq.quantize(soft_alpha(image), 64)
        rows.append(
            {"picture": name, "what": "alpha", "iterations": result.n_iter, "mse": result.mse}
        )
        groups = len(make_tables(fastkq.fit_palette(image, 256)).nearest_table()[2])
        rows.append({"picture": name, "what": "dithering", "groups": groups})
        for what, options in FILES.items():
            data = fastkq.compress(image, **options)
            rows.append({"picture": name, "what": f"file: {what}", "bytes": len(data)})
    return rows


def main() -> None:
    """Count, print and store."""
    options = report.arguments(__doc__).parse_args()
    rows = measure()
    lines = [
        [
            f"{row['picture']}, {row['what']}",
            ", ".join(f"{row[key]:g} {key}" for key in list(row)[2:]),
        ]
        for row in rows
    ]
    report.publish(options, report.markdown(["what", "work"], lines), rows)


if __name__ == "__main__":
    main()
