"""The targets of speed and memory, and whether the stored measurements meet them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

LARGE = 20_000_000  # pixels: the photos that fastkq is made for
Row = dict[str, Any]
Target = tuple[str, str, str, bool]  # what, the goal, what was measured, whether it is met


def compare(peers: list[Row], stages: list[Row], scaling: list[Row]) -> Iterator[Target]:
    """Give each target beside what was measured."""
    pixels = {row["image"]: row["pixels"] for row in peers if "pixels" in row}
    yield from _peer_targets(peers)
    yield from _stage_targets(stages, pixels)
    yield from _scaling_targets(scaling)


def _peer_targets(peers: list[Row]) -> Iterator[Target]:
    rows = [row for row in peers if not row.get("absent")]
    for image in dict.fromkeys(row["image"] for row in rows):
        for k in (16, 64, 256):
            own = {row["tool"]: row for row in rows if (row["image"], row["K"]) == (image, k)}
            ours = own["fastkq"]
            theirs = [row for tool, row in own.items() if not tool.startswith("fastkq")]
            name = f"`quantize`, {image}, K = {k}"
            if ours["pixels"] >= LARGE:
                ratio = ours["min_ms"] / own["Pillow FASTOCTREE"]["min_ms"]
                goal = 0.38 if k == 256 else 0.3
                yield f"{name}, time / FASTOCTREE's", f"<= {goal}", f"{ratio:.2f}", ratio <= goal
            elif k == 256:
                limit = 25 if ours["pixels"] > 1e6 else 10
                yield name, f"<= {limit} ms", f"{ours['min_ms']:.1f} ms", ours["min_ms"] <= limit
            best = min(theirs, key=lambda row: row["mse"])
            value = f"{ours['mse']:.2f}; {best['tool']} {best['mse']:.2f}"
            yield f"{name}, MSE", "below every peer's", value, ours["mse"] < best["mse"]


def _stage_targets(rows: list[Row], pixels: dict[str, int]) -> Iterator[Target]:
    at = {(row["what"], row["image"]): row for row in rows}
    only = {row["what"]: row for row in rows}
    for (what, image), row in at.items():
        if what == "quantize, fast":
            speed = pixels[image] / row["min_ms"] / 1e3
            yield f'`effort="fast"`, {image}', ">= 500 MP/s", f"{speed:.0f} MP/s", speed >= 500
            share = row["mse_ratio"] - 1
            yield "its error above the default's", "<= 3 %", f"{share:.1%}", share <= 0.03
        elif what == "quantize":
            ratio = row["one_thread_ms"] / row["min_ms"]
            yield f"2 threads against 1, {image}", ">= 1.8 x", f"{ratio:.2f} x", ratio >= 1.8
        elif what == "Lloyd step, settled":
            value = row["min_ms"]
            yield f"an exact Lloyd step, {image}", "<= 2.5 ms", f"{value:.1f} ms", value <= 2.5
    dense = [only[f"dense iteration: {name}"] for name in ("scikit-learn KMeans", "fastkq.kmeans")]
    ratio = dense[0]["min_ms"] / dense[1]["min_ms"]
    yield "dense `kmeans`, against scikit-learn's", ">= 5 x", f"{ratio:.1f} x", ratio >= 5
    ours, theirs = only["process: fastkq compress"], only["process: pngquant"]
    seconds, ratio = ours["min_ms"] / 1e3, theirs["min_ms"] / ours["min_ms"]
    yield "`fastkq compress`, 24 MP JPEG", "<= 1.2 s", f"{seconds:.2f} s", seconds <= 1.2
    yield "pngquant 3 on the same pixels", ">= 5 x its time", f"{ratio:.1f} x", ratio >= 5
    sizes = f"{ours['bytes'] / 1e6:.2f} MB; {theirs['bytes'] / 1e6:.2f} MB"
    yield "its file, and pngquant's", "smaller", sizes, ours["bytes"] < theirs["bytes"]
    extra = only["process: import fastkq"]["min_ms"] - only["process: import numpy"]["min_ms"]
    yield "`import fastkq` over `import numpy`", "<= 30 ms", f"{extra:.0f} ms", extra <= 30
    value = only["process: fastkq --help"]["min_ms"] / 1e3
    yield "`fastkq --help`", "<= 0.15 s", f"{value:.2f} s", value <= 0.15
    value = only["process: first run"]["min_ms"] / 1e3
    yield "first run, nothing compiled", "<= 15 s", f"{value:.1f} s", value <= 15


def _scaling_targets(rows: list[Row]) -> Iterator[Target]:
    most = max(row["threads"] for row in rows)
    all_threads = [row for row in rows if row["threads"] == most]
    for row in all_threads:
        megapixels = row["pixels"] / 1e6
        if row["K"] == 256 and megapixels > 20:
            limit = 3 * megapixels + 64
            value = row["extra_mb"]
            name = f"extra memory, {megapixels:.0f} MP"
            yield name, f"<= {limit:.0f} MB", f"{value:.0f} MB", value <= limit
    times = {(row["pixels"] // 10**6, row["K"]): row["min_ms"] for row in all_threads}
    small, large = (min(key for key in times if key[0] >= low) for low in (1, 190))
    growth = times[large] / times[small] / (large[0] / small[0])
    name = f"time a pixel at {large[0]} MP, against {small[0]} MP"
    yield name, "<= 1 x", f"{growth:.2f} x", growth <= 1
    reference = [key for key in times if (key[0], 2) in times]
    few, many = min(reference, key=lambda key: key[1]), max(reference, key=lambda key: key[1])
    growth = times[many] / times[few]
    name = f"time at K = {many[1]}, against K = {few[1]}"
    yield name, f"< {many[1] // few[1]} x", f"{growth:.1f} x", growth < many[1] // few[1]
