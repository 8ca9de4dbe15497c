"""The targets of speed, memory and quality, and whether the stored measurements meet them."""

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


def compare_quality(kodak: list[Row], quality: list[Row], files: list[Row]) -> Iterator[Target]:
    """Give each target of quality beside what was measured."""
    yield from _kodak_targets(kodak)
    yield from _look_targets(quality)
    yield from _file_targets(files)


def _kodak_targets(rows: list[Row]) -> Iterator[Target]:
    for row in rows:
        name = f"{row['effort']}, Kodak 01-12, K = {row['K']}"
        if row["init"] == "wu":
            is_best = row["effort"] == "best"
            share = 1 if is_best else 0.5
            goal = row["mse_ibkm"] + share * (row["mse_split_merge"] - row["mse_ibkm"])
            value = row["mse_float"]
            yield f"{name}, MSE of float centers", f"<= {goal:.2f}", f"{value:.2f}", value <= goal
            limit, value = 1000 if is_best else 60, row["ms_slowest"]
            yield f"{name}, slowest image", f"< {limit} ms", f"{value:.0f} ms", value < limit


def _look_targets(rows: list[Row]) -> Iterator[Target]:
    photos = [row for row in rows if row["group"] in ("kodak", "cq100", "photo2mp")]
    undithered = ("fastkq oklab", "imagequant, undithered", "scikit-learn KMeans, 10k sample")
    for k in (64, 256):
        scores = []
        for tool in undithered:
            own = [
                r["ssimulacra2"] for r in photos if (r["tool"], r["K"], r["at"]) == (tool, k, "K")
            ]
            scores.append(sum(own) / len(own))
        value = "; ".join(f"{score:.1f}" for score in scores)
        yield (
            f"Oklab, undithered, K = {k}, mean SSIMULACRA2 of the photos",
            "above imagequant's and scikit-learn's",
            value,
            scores[0] > max(scores[1:]),
        )
    opaque = [row for row in rows if row["group"] != "alpha" and row["K"] == 256]
    theirs = {(r["group"], r["picture"]): r for r in opaque if r["tool"] == "pngquant"}
    for tool in ("fastkq adaptive", "fastkq oklab, adaptive"):
        for at, goal in (("K", "better and smaller"), ("bytes", "better at its bytes")):
            own = [row for row in opaque if (row["tool"], row["at"]) == (tool, at)]
            pairs = [(row, theirs[row["group"], row["picture"]]) for row in own]
            wins = sum(
                a["ssimulacra2"] > b["ssimulacra2"] and (at == "bytes" or a["bytes"] < b["bytes"])
                for a, b in pairs
            )
            name = f"{tool}, K = 256, against pngquant: {goal}"
            yield name, ">= 90 %", f"{wins} of {len(own)}", wins >= 0.9 * len(own)


def _file_targets(rows: list[Row]) -> Iterator[Target]:
    def of(writer: str, key: str) -> list[float]:
        return [row[key] for row in rows if row["writer"] == writer]

    ours, theirs = of("fastkq, optimize", "bytes"), of("oxipng 2", "bytes")
    worst = max(a / b for a, b in zip(ours, theirs, strict=True)) - 1
    yield "`optimize`, bytes above oxipng 2's, at worst", "<= 1 %", f"{worst:.1%}", worst <= 0.01
    share = sum(of("fastkq, optimize", "ms")) / sum(of("oxipng 2", "ms"))
    yield "its time, of oxipng's", "<= 0.2", f"{share:.2f}", share <= 0.2
    pairs = zip(of("fastkq", "bytes"), of("Pillow", "bytes"), strict=True)
    worst = max(a / b for a, b in pairs) - 1
    yield "default, bytes above Pillow's, at worst", "<= 0 %", f"{worst:.2%}", worst <= 0


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
        elif what == "stage: dither, diffusion":
            value = row["min_ms"] / 1e3
            yield f"error diffusion, {image}", "<= 0.4 s", f"{value:.2f} s", value <= 0.4
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
