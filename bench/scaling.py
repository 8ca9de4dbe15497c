"""How time and memory of `quantize` grow with pixels, colors and threads, on synthetic pictures.

    python bench/scaling.py [--megapixels 0.1 ... 200] [--k 2 ... 256] [--threads 1 2]
                            [--json bench/results/scaling.json]

Two sweeps: pixels at 256 colors, and colors on the picture of 24 MP. The thread counts take turns.
Memory is what a process has at its peak during its first call, beyond what it had before: image and
compiled kernels, which a small call loaded, are not in it, nor are the tables that this small call
left for the next (reported as "kept"). It needs Linux, whose /proc tells the peak.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numba
import numpy as np
import report
from machine import use_threads
from pictures import synthetic

import fastkq
from fastkq.install.warmup import warm_up

MEGAPIXELS = [0.1, 0.4, 1, 2.4, 6, 12, 24, 50, 100, 200]
COLORS = [2, 4, 8, 16, 32, 64, 128, 256]
MANY_COLORS = 256  # of the sweep over pixels
REFERENCE = 24  # megapixels of the sweep over colors
ASPECT = 1.5
SECONDS = 3.0  # of repetitions, about, for each combination
MAX_REPEAT = 30
STATUS = Path("/proc/self/status")


def time_turns(
    image: np.ndarray, n_colors: int, threads: list[int]
) -> Iterator[tuple[int, list[float]]]:
    """Give each thread count with its times in ms, taken in turns; the first turn warms up."""
    times: dict[int, list[float]] = {count: [] for count in threads}
    repeat = MAX_REPEAT
    turn = 0
    while turn <= repeat:
        for count in threads:
            use_threads(count)
            start = time.perf_counter()
            fastkq.quantize(image, n_colors)
            times[count].append((time.perf_counter() - start) * 1e3)
        slowest = max(values[0] for values in times.values()) / 1e3
        repeat = min(MAX_REPEAT, max(3, int(SECONDS / slowest)))
        turn += 1
    for count, values in times.items():
        yield count, values[1:]


def memory_of(path: Path, n_colors: int, threads: int) -> report.Row:
    """Return the memory that a fresh process takes for one call, in MB; nothing without /proc."""
    if not STATUS.exists():
        return {}
    arguments = [sys.executable, __file__, "--measure-memory", str(path), f"{n_colors}/{threads}"]
    run = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def measure_memory(path: str, n_colors: int, threads: int) -> report.Row:
    """Return the memory of one call in this process."""
    numba.set_num_threads(threads)
    before = resident("VmRSS")
    warm_up()
    kept = resident("VmRSS") - before
    image = np.load(path)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    fastkq.quantize(image, n_colors)
    return {"extra_mb": round(resident("VmHWM") - before, 1), "kept_mb": round(kept, 1)}


def resident(field: str) -> float:
    """Return a size from /proc, in MB of 10^6 bytes."""
    lines = STATUS.read_text(encoding="ascii").splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith(field + ":"))
    return int(kilobytes) * 1024 / 1e6


def sweep(
    megapixels: float, colors: list[int], threads: list[int], folder: str
) -> Iterator[report.Row]:
    """Give a row for each K and thread count on one picture."""
    height = round(math.sqrt(megapixels * 1e6 / ASPECT))
    image = synthetic(height, round(height * ASPECT))
    n_pixels = image[..., 0].size
    path = Path(folder) / "image.npy"
    np.save(path, image)
    n_distinct = len(fastkq.color_histogram(image))
    for n_colors in colors:
        n_iter = fastkq.quantize(image, n_colors).n_iter
        for count, times in time_turns(image, n_colors, threads):
            print(f"{megapixels:g} MP, K = {n_colors}, {count} threads", file=sys.stderr)
            yield {
                "pixels": n_pixels,
                "distinct": n_distinct,
                "K": n_colors,
                "threads": count,
                "iterations": n_iter,
                "median_ms": statistics.median(times),
                "min_ms": min(times),
                "MP/s": n_pixels / 1e3 / statistics.median(times),
                **memory_of(path, n_colors, count),
            }


def table(rows: list[report.Row]) -> str:
    """Return the rows as Markdown."""
    header = ["MP", "distinct colors", "K", "threads", "iterations", "ms, median", "ms, least"]

    def cells(row: report.Row) -> list[str]:
        extra = row.get("extra_mb")
        return [
            f"{row['pixels'] / 1e6:.1f}",
            f"{row['distinct']:,}",
            f"{row['K']}",
            f"{row['threads']}",
            f"{row['iterations']}",
            f"{row['median_ms']:.1f}",
            f"{row['min_ms']:.1f}",
            f"{row['MP/s']:.0f}",
            "" if extra is None else f"{extra:.0f}",
            "" if extra is None else f"{extra * 1e6 / row['pixels']:.1f}",
        ]

    text = report.markdown([*header, "MP/s", "extra MB", "bytes a pixel"], map(cells, rows))
    kept = [row["kept_mb"] for row in rows if "kept_mb" in row]
    return text + (f"\n\nKept: kernels and tables, at most {max(kept):.0f} MB." if kept else "")


def main() -> None:
    """Measure, print and store."""
    parser = report.arguments(__doc__)
    all_threads = sorted({1, numba.get_num_threads()})
    parser.add_argument("--megapixels", nargs="+", type=float, default=MEGAPIXELS)
    parser.add_argument("--k", nargs="*", type=int, default=COLORS)
    parser.add_argument("--threads", nargs="+", type=int, default=all_threads)
    options = parser.parse_args()
    if max(options.threads) > numba.config.NUMBA_NUM_THREADS:
        parser.error(f"NUMBA_NUM_THREADS is {numba.config.NUMBA_NUM_THREADS}; fewer are allowed")
    warm_up()
    rows: list[report.Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for megapixels in options.megapixels:
            more = options.k if megapixels == REFERENCE else []
            rows.extend(sweep(megapixels, sorted({*more, MANY_COLORS}), options.threads, folder))
    report.publish(options, table(rows), rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure-memory"]:
        k_and_threads = map(int, sys.argv[3].split("/"))
        print(json.dumps(measure_memory(sys.argv[2], *k_and_threads)))
    else:
        main()
