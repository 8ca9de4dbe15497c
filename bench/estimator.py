"""`fastkq.estimator.KMeans` beside scikit-learn's, for the same iterations from the same centers.

    python bench/estimator.py PHOTO [--k 16 64 256] [--iterations 20]
                              [--json bench/results/estimator.json]

Both stop after so many iterations, or when no label changes. They take turns, and the least of
three times counts. The share of equal labels is told as well: a pixel that is equally near to two
centers, as whole numbers often are, goes to the first here, and where rounding has it there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import report
import sklearn.cluster

from fastkq.estimator import KMeans

REPEAT = 3
MOST_DIFFERENT = 1e-3  # of the inertia, for ties that were decided otherwise


def data_of(photo: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Give what is clustered: pixels as they are, of less size, as shares of 1; and noise."""
    image = iio.imread(photo)
    yield "photo", image.reshape(-1, 3)
    small = np.ascontiguousarray(image[::4, ::4].reshape(-1, 3))
    yield "small photo", small
    yield "small photo / 255", small / 255
    yield "noise", np.random.default_rng(0).normal(size=(200_000, 5))


def compare(data: np.ndarray, n_clusters: int, max_iter: int) -> report.Row:
    """Fit both, in turns; their labels must be equal."""
    rng = np.random.default_rng(1)
    init = data[rng.choice(len(data), n_clusters, replace=False)].astype(float)
    init += rng.normal(size=init.shape) * 1e-3 * data.std()  # no sample between two centers
    times: dict[type, list[float]] = {sklearn.cluster.KMeans: [], KMeans: []}
    models = {}
    for _ in range(REPEAT):
        for kind, seconds in times.items():
            start = time.perf_counter()
            models[kind] = kind(n_clusters, init=init, n_init=1, max_iter=max_iter, tol=0).fit(data)
            seconds.append(time.perf_counter() - start)
    theirs, ours = models.values()
    assert abs(ours.inertia_ / theirs.inertia_ - 1) < MOST_DIFFERENT
    return {
        "K": n_clusters,
        "iterations": ours.n_iter_,
        "sklearn_s": min(times[sklearn.cluster.KMeans]),
        "fastkq_s": min(times[KMeans]),
        "equal_labels": float(np.mean(theirs.labels_ == ours.labels_)),
        "inertia_ratio": ours.inertia_ / theirs.inertia_,
    }


def main() -> None:
    """Measure, print and store."""
    parser = report.arguments(__doc__)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--k", nargs="+", type=int, default=[16, 64, 256])
    parser.add_argument("--iterations", type=int, default=20)
    options = parser.parse_args()
    rows: list[report.Row] = []
    for name, data in data_of(options.photo):
        distinct = len(np.unique(data, axis=0))
        KMeans(2, max_iter=1).fit(data)  # loads the kernels
        for n_clusters in options.k:
            found = compare(data, n_clusters, options.iterations)
            rows.append({"data": name, "samples": len(data), "distinct": distinct, **found})
    header = ["data", "samples", "K", "iterations", "scikit-learn, s", "fastkq, s", "times faster"]

    def cells(row: report.Row) -> list[str]:
        seconds = [row["sklearn_s"], row["fastkq_s"]]
        return [
            *(str(row[name]) for name in ("data", "samples", "K", "iterations")),
            *(f"{value:.2f}" for value in (*seconds, seconds[0] / seconds[1])),
        ]

    report.publish(options, report.markdown(header, map(cells, rows)), rows, ["scikit-learn"])


if __name__ == "__main__":
    main()
