"""How long a score by SSIMULACRA 2 takes, and how close it is to the reference program.

    python bench/score.py [--json bench/results/score.json]

A photo of 24 MP and its result of 256 colors, given as pixels and as labels, on one thread and on
two, in turns, and the memory that a fresh process takes beyond both pictures. Then the pairs of
../shared/metric with the scores of the reference program and of its formulas in float64. Without
../shared, a synthetic picture and the pairs of tests/images.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import report
from pictures import PHOTOS, SIZES, photo, synthetic
from scaling import resident
from stages import in_turns

import fastkq
from fastkq import kernels
from fastkq.colors.ssimulacra2 import Picture, score_pictures
from fastkq.install.warmup import warm_up

N_COLORS = 256
REPEAT = 7
MEMORY = "--memory"  # of a process of its own
THREADS = (1, 2)
ROOT = Path(__file__).parents[1]
# Files of 16 bits a channel, which are read as 8.
DEEP = {"gray16to8.png", "rgb16to8.png"}


def times(image: np.ndarray) -> list[report.Row]:
    """Return the least times of a score, with pixels and with labels."""
    result = fastkq.quantize(image, N_COLORS)
    original = Picture(image)
    kinds = {
        "pixels": Picture(result.to_array()),
        "labels": Picture(result.labels, result.palette),
    }

    def call(picture: Picture, n_threads: int) -> None:
        kernels.threads.set_threads(n_threads)
        score_pictures(original, picture)

    calls = {
        f"{kind}, {n}": lambda picture=picture, n=n: call(picture, n)
        for kind, picture in kinds.items()
        for n in THREADS
    }
    return [
        {"what": "time", "kind": name, "MP": image[..., 0].size / 1e6, "ms": min(found)}
        for name, found in in_turns(calls, REPEAT).items()
    ]


def memory() -> float:
    """Return the bytes a pixel that a score takes beyond both pictures, in this fresh process."""
    warm_up()
    original = np.zeros((4000, 6000, 3), np.uint8)
    original[:] = 1  # so that the system has given the memory
    distorted = original.copy()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    score_pictures(Picture(original), Picture(distorted))
    return (resident("VmHWM") - before) * 1e6 / original[..., 0].size


def agreement() -> list[report.Row]:
    """Return the differences of each pair from the reference program, and from float64."""
    folder = PHOTOS.parent / "metric"
    path = folder / "pairs.csv"
    if not path.is_file():
        folder = ROOT / "tests" / "images" / "score"
        path = folder / "scores.csv"
    rows: list[report.Row] = []
    with path.open(encoding="utf-8", newline="") as file:
        for pair in csv.DictReader(file):
            if Path(pair["distorted"]).name in DEEP:
                continue
            score = fastkq.ssimulacra2(folder / pair["original"], folder / pair["distorted"])
            rows.append(
                {
                    "what": "pair",
                    "kind": Path(pair["distorted"]).stem,
                    "score": score,
                    "reference": float(pair["score"]),
                    "float64": float(pair["float64"]),
                }
            )
    return rows


def main() -> None:
    """Measure, print a table, and store it."""
    options = report.arguments(__doc__).parse_args()
    start = time.perf_counter()
    warm_up()
    print(f"kernels ready after {time.perf_counter() - start:.1f} s")
    image = photo(PHOTOS / "large" / "louvre-24mp.jpg")
    if image is None:
        image = synthetic(*SIZES["24 MP"])
    run = subprocess.run(
        [sys.executable, __file__, MEMORY], capture_output=True, text=True, check=True
    )
    rows = times(image)
    rows.append({"what": "memory", "kind": "memory", "bytes a pixel": float(run.stdout)})
    rows += agreement()
    lines = [[str(row["kind"]), f"{row['ms']:.0f}"] for row in rows if row["what"] == "time"]
    lines.append(["bytes a pixel", f"{float(run.stdout):.1f}"])
    pairs = [row for row in rows if row["what"] == "pair"]
    for name in ("float64", "reference"):
        worst = max(abs(row["score"] - row[name]) for row in pairs)
        lines.append([f"largest difference from {name}, {len(pairs)} pairs", f"{worst:.4f}"])
    report.publish(options, report.markdown(["what", ""], lines), rows)


if __name__ == "__main__":
    if MEMORY in sys.argv:
        print(memory())
    else:
        main()
