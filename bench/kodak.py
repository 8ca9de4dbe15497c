"""Error and time on Kodak 01-12 for each way of seeding and effort, beside IBKM.

    python bench/kodak.py [--k 16 64 256] [--json bench/results/kodak.json]

MSE is summed over R, G and B. Published numbers use the centers as floats; a palette of uint8 adds
up to 0.25. "Better" counts the images with less error than IBKM's. Times are the least of some runs
of `fastkq.quantize` on the array, kernels compiled.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import report
from pictures import PHOTOS, photo

import fastkq
from fastkq.colors.metrics import inertia_from_sums
from fastkq.engine.cells import ColorCells
from fastkq.engine.opaque import find_centers
from fastkq.install.warmup import warm_up
from fastkq.options import check_options

KODAK = PHOTOS / "kodak"
# IBKM: LBG splitting with Lloyd to convergence at each level, the strongest published K-means
# quantizer: Abernathy and Celebi, "The incremental online k-means clustering algorithm and its
# application to color quantization", Expert Systems with Applications 207 (2022),
# doi:10.1016/j.eswa.2022.117927. Its error on kodim01 to 12 with float centers, as measured for
# this project's design.
# fmt: off
IBKM = {
    16: [110.36, 77.41, 338.20, 230.57, 360.86, 154.31,
         201.97, 253.03, 140.68, 153.51, 193.87, 172.13],
    64: [30.65, 19.59, 78.80, 60.65, 107.79, 41.56,
         53.13, 69.32, 37.66, 40.21, 49.76, 39.40],
    256: [10.78, 6.08, 20.63, 19.21, 37.05, 14.65,
          17.49, 24.50, 12.24, 12.79, 16.82, 13.32],
}
# The same with split and merge rounds ("breathing" K-means, Fritzke, arXiv:2006.15666), likewise.
SPLIT_MERGE = {
    16: [100.45, 75.82, 295.06, 230.57, 355.62, 150.52,
         192.57, 244.96, 135.90, 138.65, 182.82, 172.13],
    64: [28.69, 18.41, 70.94, 59.48, 105.32, 39.20,
         51.09, 69.12, 33.72, 37.60, 49.34, 38.07],
    256: [10.07, 5.39, 19.06, 18.42, 35.87, 13.49,
          16.57, 23.88, 11.20, 12.01, 16.38, 12.64],
}
# fmt: on
SETTINGS = [("wu", "balanced"), ("wu", "best"), ("k-means++", "balanced"), ("random", "balanced")]
REPEAT = 7


def float_mse(image: np.ndarray, n_colors: int, init: str, effort: str) -> float:
    """Return the error to the centers before they are rounded."""
    histogram = fastkq.color_histogram(image)
    cells = ColorCells(histogram)
    centers, _ = find_centers(cells, check_options(n_colors, effort=effort, init=init).fit)
    sums = cells.accumulate(centers)
    return inertia_from_sums(sums, cells.squared_norm, centers) / histogram.n_pixels


def measure(images: list[np.ndarray], n_colors: int, init: str, effort: str) -> report.Row:
    """Return the mean errors, the iterations and the time of an image."""
    milliseconds, results = [], []
    for image in images:
        times = []
        for _ in range(REPEAT):
            start = time.perf_counter()
            result = fastkq.quantize(image, n_colors, init=init, effort=effort)
            times.append((time.perf_counter() - start) * 1e3)
        milliseconds.append(min(times))
        results.append(result)
    errors = np.array([float_mse(image, n_colors, init, effort) for image in images])
    published = np.array(IBKM[n_colors])
    return {
        "init": init,
        "effort": effort,
        "K": n_colors,
        "mse_float": float(errors.mean()),
        "mse_uint8": float(np.mean([result.mse for result in results])),
        "mse_ibkm": float(published.mean()),
        "mse_split_merge": float(np.mean(SPLIT_MERGE[n_colors])),
        "better": int((errors < published).sum()),
        "iterations": float(np.mean([result.n_iter for result in results])),
        "ms": float(np.mean(milliseconds)),
        "ms_slowest": float(np.max(milliseconds)),
    }


def table(rows: list[report.Row]) -> str:
    """Return the rows as Markdown."""
    header = ["init, effort", "K", "MSE, float", "MSE, uint8", "IBKM", "split-merge", "better"]
    return report.markdown(
        [*header, "iterations", "ms an image", "slowest"],
        [
            [
                f"{row['init']}, {row['effort']}",
                f"{row['K']}",
                f"{row['mse_float']:.2f}",
                f"{row['mse_uint8']:.2f}",
                f"{row['mse_ibkm']:.2f}",
                f"{row['mse_split_merge']:.2f}",
                f"{row['better']} of {len(IBKM[16])}",
                f"{row['iterations']:.0f}",
                f"{row['ms']:.1f}",
                f"{row['ms_slowest']:.1f}",
            ]
            for row in rows
        ],
    )


def read_kodak(folder: Path) -> list[np.ndarray]:
    """Return kodim01 to 12, those that are there."""
    images = (photo(folder / f"kodim{number:02}.png") for number in range(1, 13))
    return [image for image in images if image is not None]


def main() -> None:
    """Measure, print and store."""
    parser = report.arguments(__doc__)
    parser.add_argument("--k", nargs="+", type=int, choices=list(IBKM), default=list(IBKM))
    options = parser.parse_args()
    images = read_kodak(KODAK)
    if len(images) != len(IBKM[16]):
        parser.error(f"{KODAK} has {len(images)} of the images; all of Kodak 01-12 are needed")
    warm_up()
    rows = [measure(images, n_colors, *setting) for n_colors in options.k for setting in SETTINGS]
    report.publish(options, table(rows), rows)


if __name__ == "__main__":
    main()
