"""Error and time on Kodak 01-12 for each way of seeding, beside the published IBKM.

    python bench/kodak.py [--json bench/results/kodak.json]

MSE is summed over R, G and B. Published numbers use the centers as floats; a palette of uint8 adds
up to 0.25. IBKM (LBG splitting with Lloyd to convergence at each level: Abernathy and Celebi, "The
incremental online k-means clustering algorithm and its application to color quantization", 2022) is
the strongest published K-means quantizer; its column here is the mean of the same twelve images.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import machine
import numpy as np
from PIL import Image

import fastkq
from fastkq.cells import ColorCells
from fastkq.kmeans import DEFAULT_MAX_ITER, lloyd
from fastkq.metrics import inertia_from_sums
from fastkq.quantize import INITS, TOL, seed_centers

KODAK = Path(__file__).parents[2] / "shared" / "photos" / "kodak"
# fmt: off
IBKM = {
    16: [110.36, 77.41, 338.20, 230.57, 360.86, 154.31,
         201.97, 253.03, 140.68, 153.51, 193.87, 172.13],
    64: [30.65, 19.59, 78.80, 60.65, 107.79, 41.56, 53.13, 69.32, 37.66, 40.21, 49.76, 39.40],
    256: [10.78, 6.08, 20.63, 19.21, 37.05, 14.65, 17.49, 24.50, 12.24, 12.79, 16.82, 13.32],
}
# fmt: on
REPEAT = 5


def float_mse(image: np.ndarray, n_colors: int, init: str) -> float:
    """Return the error to the centers before they are rounded."""
    histogram = fastkq.color_histogram(image)
    cells = ColorCells(histogram)
    start = seed_centers(cells, n_colors, init, 0)
    centers, _ = lloyd(cells, start, max_iter=DEFAULT_MAX_ITER, tol=TOL)
    sums = cells.accumulate(centers)
    return inertia_from_sums(sums, cells.squared_norm, centers) / histogram.n_pixels


def measure(images: list[np.ndarray], n_colors: int, init: str) -> dict[str, object]:
    """Return the mean errors, the iterations and the time of an image."""
    seconds, results = [], []
    for image in images:
        times = []
        for _ in range(REPEAT):
            start = time.perf_counter()
            result = fastkq.quantize(image, n_colors, init=init)
            times.append(time.perf_counter() - start)
        seconds.append(min(times))
        results.append(result)
    return {
        "init": init,
        "K": n_colors,
        "mse_float": float(np.mean([float_mse(image, n_colors, init) for image in images])),
        "mse_uint8": float(np.mean([result.mse for result in results])),
        "mse_ibkm": float(np.mean(IBKM[n_colors])),
        "iterations": float(np.mean([result.n_iter for result in results])),
        "ms": float(np.mean(seconds) * 1e3),
        "ms_slowest": float(np.max(seconds) * 1e3),
    }


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    images = []
    for path in sorted(KODAK.glob("kodim*.png")):
        with Image.open(path) as image:
            images.append(np.asarray(image.convert("RGB")))
    if len(images) != len(IBKM[16]):
        parser.error(f"{KODAK} has {len(images)} images; Kodak 01-12 are needed")
    rows = [measure(images, n_colors, init) for n_colors in IBKM for init in INITS]
    for row in rows:
        print(row)
    if options.json:
        report = {"machine": machine.describe(), "rows": rows}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
