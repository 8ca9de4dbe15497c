"""fastkq against its peers, in one run: time, error and bytes, undithered.

    pip install -e . --group peers
    python bench/peers.py [IMAGE ...] [--k 16 64 256] [--json bench/results/peers.json]

An array goes in, palette and labels come out; only pngquant and pyvips make files, which their
times include. The contenders take turns, so that a slow spell of the machine hits all of them, and
each turn starts with another, so that none always follows the same. The first turn warms up and is
not counted; those slower than 3 s are timed once after it. MSE, summed over R, G and B, is computed
in one way from the image that each gives. Bytes are of fastkq's own PNG writer, or the tool's where
it writes files. Ratios are of the least times. A peer that is not installed is listed as absent.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import numpy as np
import report
from contenders import MAKERS, PACKAGES, Contender, make_all
from errors import mean_squared_error
from pictures import PHOTOS, photo

DEFAULT_IMAGES = [
    PHOTOS / "large" / "louvre-24mp.jpg",
    PHOTOS / "large" / "craft-beer-24mp.jpg",
    PHOTOS / "photo2mp" / "louvre.jpg",
    PHOTOS / "kodak" / "kodim05.png",
]
YARDSTICK = "Pillow FASTOCTREE"  # present wherever Pillow is
SLOW = 3.0  # seconds
PAUSE = 0.1  # seconds in which the last contender's threads go to sleep


def compare(
    image: np.ndarray, n_colors: int, repeat: int, tools: dict[str, Contender]
) -> list[report.Row]:
    """Run the contenders in turns; return a row for each that does such an image."""
    able = {name: tool for name, tool in tools.items() if tool.can(image[..., 0].size, n_colors)}
    inputs = {name: tool.prepare(image) for name, tool in able.items()}
    times: dict[str, list[float]] = {name: [] for name in able}
    facts: dict[str, report.Row] = {}
    for turn in range(repeat + 1):
        first = turn % len(able)
        for name in [*able][first:] + [*able][:first]:
            if turn > 1 and times[name][0] > SLOW:
                continue
            time.sleep(PAUSE)
            start = time.perf_counter()
            result = able[name].run(inputs[name], n_colors)
            times[name].append(time.perf_counter() - start)
            if turn == 0:
                restored, n_bytes = able[name].restore(result)
                facts[name] = {"mse": mean_squared_error(image, restored), "bytes": n_bytes}
    rows = []
    for name, fact in facts.items():
        counted = times[name][1:]
        row = {"tool": name, "K": n_colors, **fact, "runs": len(counted)}
        row |= {"median_ms": statistics.median(counted) * 1e3, "min_ms": min(counted) * 1e3}
        rows.append(row)
    return rows


def table(rows: list[report.Row], absent: list[str]) -> str:
    """Return the rows as Markdown, each photo and K from fast to slow."""
    yardsticks = {
        (row["image"], row["K"]): row["min_ms"] for row in rows if row["tool"] == YARDSTICK
    }

    def cells(row: report.Row) -> list[str]:
        yardstick = yardsticks.get((row["image"], row["K"]))
        return [
            f"{row['tool']}",
            f"{row['image']}",
            f"{row['K']}",
            f"{row['median_ms']:.0f}",
            f"{row['min_ms']:.0f}",
            "" if yardstick is None else f"{row['min_ms'] / yardstick:.2f}",
            f"{row['pixels'] / row['min_ms'] / 1e3:.1f}",
            f"{row['mse']:.1f}",
            f"{row['bytes'] / 1e6:.2f}",
            f"{row['runs']}",
        ]

    header = ["tool", "image", "K", "ms, median", "ms, least", "ratio to FASTOCTREE", "MP/s"]
    groups = list(dict.fromkeys((row["image"], row["K"]) for row in rows))
    ordered = sorted(rows, key=lambda row: (groups.index((row["image"], row["K"])), row["min_ms"]))
    text = report.markdown([*header, "MSE", "PNG, MB", "runs"], map(cells, ordered))
    return text + (f"\n\nAbsent: {', '.join(absent)}." if absent else "")


def main() -> None:
    """Compare on each image and K; print and store."""
    parser = report.arguments(__doc__)
    parser.add_argument("images", nargs="*", type=Path, default=DEFAULT_IMAGES)
    parser.add_argument("--k", "--colors", nargs="+", type=int, default=[16, 64, 256])
    parser.add_argument("--repeat", type=int, default=7, help="counted turns (default: 7)")
    parser.add_argument("--only", nargs="+", choices=list(MAKERS), default=list(MAKERS))
    options = parser.parse_args()
    if options.repeat < 1:
        parser.error(f"--repeat is {options.repeat}; 1 or more is allowed")
    tools, absent = make_all(options.only)
    rows: list[report.Row] = []
    for path in options.images:
        image = photo(path)
        if image is None:
            parser.error(f"{path}: no such file")
        for n_colors in options.k:
            print(f"{path.name}, K = {n_colors} ...", file=sys.stderr, flush=True)
            about = {"image": path.stem, "pixels": image[..., 0].size}
            rows.extend(about | row for row in compare(image, n_colors, options.repeat, tools))
    missing = [{"tool": name, "absent": True} for name in absent]
    report.publish(options, table(rows, absent), rows + missing, PACKAGES)


if __name__ == "__main__":
    main()
