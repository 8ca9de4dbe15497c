"""Compare two revisions of fastkq: faster, slower, or not to be told apart.

    python bench/compare.py REVISION [--pairs 30] [--only NAME] [--tree DIRECTORY]

The work tree (or the one in DIRECTORY) runs beside REVISION, each in a process of its own with
kernels compiled apart. The two take turns, one round each, in an order that changes, so that what
else the machine does falls on both. Of the ratios of the pairs the median counts, with an interval
that holds it in 95 of 100 cases: two order statistics, which assume nothing of the noise (see David
and Nagaraja, Order Statistics, 2003, 7.1). Exits with 1 if something became slower.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
CONFIDENCE = 0.95
# A median so near to 1 is not worth telling, however sure it is.
LEAST = 0.01
WARM_UP = 2
WORKER = "--worker"


def workloads() -> dict[str, Callable[[], object]]:
    """Return what is timed, by name, on the fastkq that this process imports."""
    import fastkq

    rng = np.random.default_rng(0)
    y, x = np.mgrid[:1200, :2000]
    waves = np.stack([x / 9 + y / 17, x / 23 - y / 11, (x + 2 * y) / 31], axis=2)
    large = (127 + 90 * np.sin(waves) + rng.normal(0, 8, waves.shape)).clip(0, 255)
    large = large.astype(np.uint8)
    small = np.ascontiguousarray(large[:500, :800])
    palette = fastkq.fit_palette(large, 64)
    return {
        "quantize 0.4 MP, K = 64": lambda: fastkq.quantize(small, 64),
        "quantize 2.4 MP, K = 256": lambda: fastkq.quantize(large, 256),
        "remap 2.4 MP, K = 64": lambda: fastkq.remap(large, palette),
        "remap 2.4 MP, K = 64, diffusion": lambda: fastkq.remap(large, palette, dither="diffusion"),
        "compress 0.4 MP": lambda: fastkq.compress(small, dither="none"),
    }


def work() -> None:
    """Run what is asked for, a name a line, and answer with the time it took."""
    import time

    known = workloads()
    print(json.dumps(list(known)), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        known[line.strip()]()
        print(time.perf_counter() - start, flush=True)


class Worker:
    """A process that runs one revision."""

    def __init__(self, tree: Path, cache: Path) -> None:
        environment = dict(os.environ, PYTHONPATH=str(tree), NUMBA_CACHE_DIR=str(cache))
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), WORKER],
            env=environment,
            cwd=tree,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.names: list[str] = json.loads(self._process.stdout.readline())

    def run(self, name: str) -> float:
        """Return the seconds that one round takes."""
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()


def interval(ratios: list[float]) -> tuple[float, float, float]:
    """Return the median of some ratios, and the ends of an interval that holds the true one.

    Examples
    --------
    >>> interval([1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8])
    (1.4, 1.1, 1.7)
    """
    ordered, n = sorted(ratios), len(ratios)
    outside, skipped = 0.0, 0
    while True:  # the chance that the true median lies beyond the next order statistic
        outside += math.comb(n, skipped) / 2**n
        if 2 * outside > 1 - CONFIDENCE:
            break
        skipped += 1
    first = max(skipped - 1, 0)
    middle = float(np.median(ordered))
    return middle, ordered[first], ordered[n - 1 - first]


def verdict(low: float, high: float) -> str:
    """Return what an interval of time / time before says."""
    if low > 1 + LEAST:
        return "slower"
    return "faster" if high < 1 - LEAST else "not to be told apart"


def ratios_of(
    before: Path, now: Path, n_pairs: int, only: str | None = None
) -> Iterator[tuple[str, list[float]]]:
    """Time each workload on two trees in turns; yield its name and the ratios of the pairs."""
    with tempfile.TemporaryDirectory() as caches:
        workers = [
            Worker(tree, Path(caches, name)) for name, tree in (("before", before), ("now", now))
        ]
        for name in workers[0].names:
            if only not in (None, name):
                continue
            for worker in workers * WARM_UP:
                worker.run(name)
            ratios = []
            for turn in range(n_pairs):
                order = workers if turn % 2 else workers[::-1]
                times = {worker: worker.run(name) for worker in order}
                ratios.append(times[workers[1]] / times[workers[0]])
            yield name, ratios
        for worker in workers:
            worker.close()


def extract(revision: str, target: Path) -> Path:
    """Write the files of a revision into a directory, and return it."""
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", revision], stdout=subprocess.PIPE, check=True
    )
    subprocess.run(["tar", "-x", "-C", str(target)], input=archive.stdout, check=True)
    return target


def main() -> int:
    """Compare and print; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("revision", metavar="REVISION")
    parser.add_argument("--pairs", type=int, default=30, metavar="N")
    parser.add_argument("--only", metavar="NAME", help="one workload")
    parser.add_argument("--tree", type=Path, default=ROOT, metavar="DIRECTORY")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        before = extract(options.revision, Path(folder))
        is_slower = False
        for name, ratios in ratios_of(before, options.tree, options.pairs, options.only):
            middle, low, high = interval(ratios)
            told = verdict(low, high)
            print(f"{name}: {middle:.3f} ({low:.3f} to {high:.3f}), {told}", flush=True)
            is_slower |= told == "slower"
    return int(is_slower)


if __name__ == "__main__":
    if WORKER in sys.argv:
        work()
    else:
        sys.exit(main())
