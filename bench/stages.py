"""Where the time of one image goes, and what a whole process costs, on two photos of 24 MP.

    python bench/stages.py [--json bench/results/stages.json]

Stages of `quantize` one after the other at 256 colors, beside the time in which this machine copies
the bytes that a stage must move: no implementation can be faster. Then `fastkq compress` as a
process beside pngquant on the same pixels, imports, `--help`, the first run with no kernels
compiled, 2 threads against 1, and a step of dense K-means beside scikit-learn's. Contenders take
turns. Without ../shared/photos a synthetic picture takes the place of the photos.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numba
import numpy as np
import report
from contenders import make_pngquant
from machine import use_threads
from pictures import PHOTOS, photo, synthetic
from PIL import Image

import fastkq
from fastkq.colors.histogram import histogram_of_array
from fastkq.engine.cells import ColorCells
from fastkq.engine.lloyd import lloyd
from fastkq.engine.model import DEFAULT_MAX_ITER, TOL_PER_COLOR
from fastkq.engine.opaque import RELAXATION, label_cells, round_centers, seed_centers
from fastkq.files.png import encode_indexed_png
from fastkq.paint.dither import Dithering
from fastkq.paint.labels import Labeler

NAMES = ("louvre-24mp", "craft-beer-24mp")
N_COLORS = 256
REPEAT = 9
SETTLED = 60  # iterations after which hardly a color changes sides
DENSE_ITERATIONS = 20


def pictures() -> dict[str, np.ndarray]:
    """Return the photos by name, or a synthetic picture."""
    found = {name: photo(PHOTOS / "large" / f"{name}.jpg") for name in NAMES}
    photos = {name: image for name, image in found.items() if image is not None}
    return photos or {"synthetic-24mp": synthetic(4000, 6000)}


def in_turns(contenders: dict[str, Callable[[], object]], repeat: int) -> dict[str, list[float]]:
    """Return the times of each contender in ms; the first turn warms up."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(repeat + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            if turn:
                times[name].append((time.perf_counter() - start) * 1e3)
    return times


def measured(what: str, image: str, times: list[float], **facts: object) -> report.Row:
    """Return the row of a measurement."""
    least, median = min(times), statistics.median(times)
    return {"what": what, "image": image, "min_ms": least, "median_ms": median, **facts}


def copy_seconds(n_bytes: int) -> float:
    """Return the least time in which the threads copy so many bytes, read and written."""
    n_threads = numba.get_num_threads()
    source = np.ones(n_bytes // 2 // n_threads, np.uint8)
    pairs = [(np.empty_like(source), source.copy()) for _ in range(n_threads)]
    with ThreadPoolExecutor(n_threads) as pool:
        runs = in_turns({"copy": lambda: list(pool.map(lambda pair: np.copyto(*pair), pairs))}, 9)
    return min(runs["copy"]) / 1e3


def stages(name: str, image: np.ndarray) -> Iterator[report.Row]:
    """Give a row for each stage."""
    times: dict[str, list[float]] = {}

    def lap(what: str, function: Callable[..., Any], *arguments: object, **options: object) -> Any:
        start = time.perf_counter()
        result = function(*arguments, **options)
        times.setdefault(what, []).append((time.perf_counter() - start) * 1e3)
        return result

    tol = TOL_PER_COLOR * N_COLORS
    stop = {"max_iter": DEFAULT_MAX_ITER, "tol": tol, "relaxation": RELAXATION}
    for _ in range(REPEAT + 1):
        histogram = lap("histogram", histogram_of_array, image)
        cells = lap("cells", ColorCells, histogram)
        start = lap("seed", seed_centers, cells, N_COLORS, "wu", 0)
        centers, n_iter = lap("Lloyd", lloyd, cells, start, **stop)
        palette, _, _ = lap("round", round_centers, cells, centers, 0)
        fit = label_cells(cells, palette)
        labels, _ = lap("remap", lambda fit=fit: Labeler(fit, Dithering(), 3).label(image))
        lap("PNG", encode_indexed_png, labels, palette)
        for method in ("diffusion", "adaptive", "ordered"):
            lap(f"dither, {method}", Dithering(method).apply, image, palette, labels.copy())
    n_pixels = labels.size
    moved = {"histogram": 3 * n_pixels, "remap": 4 * n_pixels}
    for what, values in times.items():
        floor = copy_seconds(moved[what]) * 1e3 if what in moved else None
        facts = {"iterations": n_iter} if what == "Lloyd" else {}
        yield measured(f"stage: {what}", name, values[1:], floor_ms=floor, **facts)


def settled_step(name: str, image: np.ndarray) -> report.Row:
    """Return the time of an exact Lloyd step once the centers stand nearly still."""
    cells = ColorCells(histogram_of_array(image))
    start = seed_centers(cells, N_COLORS, "wu", 0)
    centers, _ = lloyd(cells, start, max_iter=SETTLED, tol=0, relaxation=RELAXATION)
    times = in_turns({"step": lambda: cells.accumulate(centers)}, 30)["step"]
    return measured("Lloyd step, settled", name, times)


def threads(name: str, image: np.ndarray) -> report.Row:
    """Return the time of `quantize` on all threads, and on one."""
    n_threads = numba.get_num_threads()
    times: dict[int, list[float]] = {1: [], n_threads: []}
    for _ in range(REPEAT):
        for count, values in times.items():
            use_threads(count)
            start = time.perf_counter()
            fastkq.quantize(image)
            values.append((time.perf_counter() - start) * 1e3)
    one = min(times[1])
    return measured("quantize", name, times[n_threads], threads=n_threads, one_thread_ms=one)


def fast(name: str, image: np.ndarray) -> report.Row:
    """Return the time of `effort="fast"`, and its error against the default's."""
    times = in_turns({"fast": lambda: fastkq.quantize(image, effort="fast")}, REPEAT)["fast"]
    result, exact = fastkq.quantize(image, effort="fast"), fastkq.quantize(image)
    error = sum(
        int(((rows.astype(np.int32) - result.palette[labels]) ** 2).sum())
        for rows, labels in zip(image, result.labels, strict=True)
    )
    return measured("quantize, fast", name, times, mse_ratio=error / exact.inertia)


def dense() -> Iterator[report.Row]:
    """Give an iteration of K-means over (N, 3) float32, and scikit-learn's where it is."""
    image = photo(PHOTOS / "kodak" / "kodim05.png")
    image = synthetic(512, 768) if image is None else image
    points = image.reshape(-1, 3).astype(np.float32)
    start = points[np.random.default_rng(0).integers(0, len(points), N_COLORS)]
    contenders = {"fastkq.kmeans": lambda n: fastkq.kmeans(points, **options, max_iter=n)}
    options = {"n_clusters": N_COLORS, "init": start, "tol": 0}
    try:
        from sklearn.cluster import KMeans

        contenders["scikit-learn KMeans"] = lambda n: KMeans(
            **options, n_init=1, max_iter=n, algorithm="lloyd"
        ).fit(points)
    except ImportError:
        pass
    runs = {
        (name, n): (lambda run=run, n=n: run(n))
        for name, run in contenders.items()
        for n in (1, 1 + DENSE_ITERATIONS)
    }
    times = in_turns(runs, REPEAT)  # type: ignore[arg-type]
    for name in contenders:
        short, long = times[name, 1], times[name, 1 + DENSE_ITERATIONS]
        each = [(b - min(short)) / DENSE_ITERATIONS for b in long]
        yield measured(f"dense iteration: {name}", "0.4 MP", each, points=len(points))


def processes(folder: Path) -> Iterator[report.Row]:
    """Give the times of whole processes."""
    name, image = next(iter(pictures().items()))
    source = PHOTOS / "large" / f"{name}.jpg"
    if not source.exists():
        source = folder / "synthetic.jpg"
        Image.fromarray(image).save(source, quality=92)
    ours = folder / "ours.png"
    python = [sys.executable, "-c"]
    command = [sys.executable, "-m", "fastkq"]
    run = {
        "process: fastkq compress": [
            *(*command, "compress", str(source), "-o", str(ours)),
            *("--force", "--allow-larger"),
        ],
        "process: fastkq --help": [*command, "--help"],
        "process: import numpy": [*python, "import numpy"],
        "process: import numba": [*python, "import numba"],
        "process: import fastkq": [*python, "import fastkq"],
        "process: load the kernels": [*python, "import fastkq.loading as w; w.load_kernels()"],
        "process: read the JPEG": [
            *python,
            "import sys, fastkq.files.read as i; i.read_image(sys.argv[1])",
            str(source),
        ],
    }
    times = in_turns({what: (lambda c=c: _call(c)) for what, c in run.items()}, REPEAT)
    for what, values in times.items():
        size = {"bytes": ours.stat().st_size} if "compress" in what else {}
        yield measured(what, name, values, **size)
    try:
        pngquant = make_pngquant()
        data = pngquant.prepare(image)
        results: list[bytes] = []
        values = in_turns({"run": lambda: results.append(pngquant.run(data, N_COLORS))}, 2)["run"]
        yield measured("process: pngquant", name, values, bytes=len(results[0]))
    except ImportError:
        pass
    fresh = os.environ | {"NUMBA_CACHE_DIR": str(folder / "cache")}
    start = time.perf_counter()
    _call(run["process: fastkq compress"], fresh)
    yield measured("process: first run", name, [(time.perf_counter() - start) * 1e3])


def _call(command: list[str], environment: dict[str, str] | None = None) -> None:
    environment = dict(os.environ if environment is None else environment)
    # An installed package has its bytecode; a clone gets it from the first run.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)


def table(rows: list[report.Row]) -> str:
    """Return the rows as Markdown."""

    def cells(row: report.Row) -> list[str]:
        floor = row.get("floor_ms")
        return [
            f"{row['what']}",
            f"{row['image']}",
            f"{row['median_ms']:.1f}",
            f"{row['min_ms']:.1f}",
            "" if floor is None else f"{floor:.1f}",
        ]

    header = ["what", "image", "ms, median", "ms, least", "ms, floor"]
    return report.markdown(header, map(cells, rows))


def main() -> None:
    """Measure, print and store."""
    options = report.arguments(__doc__).parse_args()
    rows: list[report.Row] = []
    for name, image in pictures().items():
        rows += stages(name, image)
        rows += [settled_step(name, image), threads(name, image), fast(name, image)]
    rows += dense()
    with tempfile.TemporaryDirectory() as folder:
        rows += processes(Path(folder))
    report.publish(options, table(rows), rows, ("scikit-learn", "pngquant-cli"))


if __name__ == "__main__":
    main()
