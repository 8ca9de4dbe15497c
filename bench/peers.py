"""fastkq against its peers, in one run: time, error and bytes, undithered.

    pip install -e ".[peers]"
    python bench/peers.py [IMAGE ...] [--colors 16 64 256] [--json bench/results/peers.json]

An array goes in, palette and labels come out; only pngquant, a command, reads and writes files. The
contenders alternate, so that a slow spell of the machine hits all of them. MSE, summed over R, G
and B, is computed by one function from the image that each gives; bytes are those of the same PNG
writer for all, but pngquant's own. A peer that is not installed is listed as absent.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import machine
import numpy as np
from PIL import Image

import fastkq
from fastkq.png import encode_indexed_png

PHOTOS = Path(__file__).parents[2] / "shared" / "photos"
DEFAULT_IMAGES = [PHOTOS / "large" / f"{name}-24mp.jpg" for name in ("louvre", "craft-beer")]
SLOW = 2.0  # seconds; slower contenders run once
SAMPLE = 10_000  # pixels that scikit-learn's recipe fits

Indexed = tuple[np.ndarray, np.ndarray]  # labels (H, W) and palette (K, 3)
Quantizer = Callable[[np.ndarray, int], Indexed]


def with_fastkq(**options: object) -> Quantizer:
    """Return fastkq with options."""

    def quantize(image: np.ndarray, n_colors: int) -> Indexed:
        result = fastkq.quantize(image, n_colors, **options)
        return result.labels, result.palette

    return quantize


def with_pillow(method: Image.Quantize) -> Quantizer:
    """Return one of Pillow's methods."""

    def quantize(image: np.ndarray, n_colors: int) -> Indexed:
        result = Image.fromarray(image).quantize(n_colors, method, dither=Image.Dither.NONE)
        return np.asarray(result), np.array(result.getpalette(), np.uint8).reshape(-1, 3)

    return quantize


def with_imagequant(image: np.ndarray, n_colors: int) -> Indexed:
    """Run imagequant, undithered."""
    import imagequant

    rgba = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    height, width = image.shape[:2]
    labels, palette = imagequant.quantize_raw_rgba_bytes(
        rgba.tobytes(), width, height, dithering_level=0.0, max_colors=n_colors
    )
    labels = np.frombuffer(labels, np.uint8).reshape(height, width)
    return labels, np.array(palette, np.uint8).reshape(-1, 4)[:, :3]


def with_sklearn(image: np.ndarray, n_colors: int) -> Indexed:
    """Run the recipe of scikit-learn's example: fit a sample, predict all."""
    from sklearn.cluster import KMeans
    from sklearn.utils import shuffle

    pixels = image.reshape(-1, 3).astype(np.float32)
    model = KMeans(n_colors, random_state=0).fit(shuffle(pixels, random_state=0, n_samples=SAMPLE))
    return to_indexed(image, model.predict(pixels), model.cluster_centers_)


def with_minibatch(image: np.ndarray, n_colors: int) -> Indexed:
    """Run scikit-learn's mini-batches over a sample, predict all."""
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.utils import shuffle

    pixels = image.reshape(-1, 3).astype(np.float32)
    model = MiniBatchKMeans(n_colors, random_state=0, batch_size=4096, n_init=1).fit(
        shuffle(pixels, random_state=0, n_samples=20 * SAMPLE)
    )
    return to_indexed(image, model.predict(pixels), model.cluster_centers_)


def with_faiss(image: np.ndarray, n_colors: int) -> Indexed:
    """Run faiss with its default sample, search all."""
    import faiss

    pixels = image.reshape(-1, 3).astype(np.float32)
    model = faiss.Kmeans(3, n_colors, seed=1)
    model.train(pixels)
    _, labels = model.index.search(pixels, 1)
    return to_indexed(image, labels[:, 0], model.centroids)


def to_indexed(image: np.ndarray, labels: np.ndarray, centers: np.ndarray) -> Indexed:
    """Return labels and float centers as labels (H, W) and a palette."""
    palette = np.rint(np.clip(centers, 0, 255)).astype(np.uint8)
    return labels.astype(np.uint8).reshape(image.shape[:2]), palette


CONTENDERS: dict[str, Quantizer] = {
    "fastkq": with_fastkq(),
    "fastkq, tol=0.01": with_fastkq(tol=1e-2),
    "Pillow FASTOCTREE": with_pillow(Image.Quantize.FASTOCTREE),
    "Pillow MEDIANCUT": with_pillow(Image.Quantize.MEDIANCUT),
    "Pillow MAXCOVERAGE": with_pillow(Image.Quantize.MAXCOVERAGE),
    "imagequant": with_imagequant,
    "scikit-learn KMeans, 10k sample": with_sklearn,
    "scikit-learn MiniBatchKMeans, 200k sample": with_minibatch,
    "faiss.Kmeans": with_faiss,
}
PACKAGES = ("pillow", "imagequant", "scikit-learn", "faiss-cpu", "pngquant-cli")


def mean_squared_error(image: np.ndarray, restored: np.ndarray) -> float:
    """Return the squared error a pixel, summed over the channels."""
    total = 0
    for row, other in zip(image, restored, strict=True):
        difference = row.astype(np.int32) - other
        total += int(np.sum(difference * difference))
    return total / image[..., 0].size


def run_pngquant(image: np.ndarray, n_colors: int) -> tuple[float, dict[str, object]] | None:
    """Time the pngquant command from PNG to PNG in memory files."""
    command = shutil.which("pngquant") or shutil.which(
        "pngquant", path=str(Path(sys.executable).parent)
    )
    if command is None:
        return None
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    start = time.perf_counter()
    run = subprocess.run(
        [command, "--nofs", str(n_colors), "-"],
        input=buffer.getvalue(),
        capture_output=True,
        check=True,
    )
    seconds = time.perf_counter() - start
    with Image.open(io.BytesIO(run.stdout)) as result:
        restored = np.asarray(result.convert("RGB"))
    facts = {"mse": mean_squared_error(image, restored), "bytes": len(run.stdout)}
    return seconds, facts


def compare(image: np.ndarray, n_colors: int, repeat: int) -> list[dict[str, object]]:
    """Run the contenders in turns; return a row for each."""
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    facts: dict[str, dict[str, object]] = {}
    for turn in range(repeat + 1):  # the first warms up, and counts for the slow only
        for name, quantizer in CONTENDERS.items():
            if facts.get(name, {}).get("absent") or (turn and times[name][0] > SLOW):
                continue
            start = time.perf_counter()
            try:
                labels, palette = quantizer(image, n_colors)
            except ImportError:
                facts[name] = {"absent": True}
                continue
            times[name].append(time.perf_counter() - start)
            if turn == 0:
                facts[name] = {
                    "mse": mean_squared_error(image, palette[labels]),
                    "bytes": len(encode_indexed_png(labels, palette[: int(labels.max()) + 1])),
                }
    if pngquant := run_pngquant(image, n_colors):
        times["pngquant (PNG to PNG)"] = [pngquant[0]]
        facts["pngquant (PNG to PNG)"] = pngquant[1]
    rows = []
    for name, fact in facts.items():
        counted = times[name][1:] or times[name]
        if counted:
            fact |= {"median_ms": statistics.median(counted) * 1e3, "min_ms": min(counted) * 1e3}
        rows.append({"tool": name, "K": n_colors, **fact})
    return rows


def main() -> None:
    """Compare on each image and K; print and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="*", type=Path, default=DEFAULT_IMAGES)
    parser.add_argument("--colors", nargs="*", type=int, default=[16, 64, 256])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for path in options.images:
        with Image.open(path) as image:
            array = np.asarray(image.convert("RGB"))
        for n_colors in options.colors:
            for row in compare(array, n_colors, options.repeat):
                rows.append({"image": path.stem, "pixels": array[..., 0].size, **row})
                print(rows[-1], flush=True)
    if options.json:
        report = {"machine": machine.describe(*PACKAGES), "rows": rows}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
