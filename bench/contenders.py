"""The tools that `peers.py` compares: each takes the same image and finds K colors, undithered.

Each is made by a function that imports what it needs and raises ImportError where that is missing.
What a tool needs to take an array (adding an alpha channel, widening to float) counts as its time,
for that is what a caller waits for; importing it does not.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

import fastkq
from fastkq.files.png import encode_indexed_png

SAMPLE = 10_000  # pixels that scikit-learn's recipe fits
MINIBATCH_SAMPLE = 200_000
OPENCV_ITERATIONS = 10
OPENCV_LIMIT = 1_000_000  # pixels; it visits every one in every iteration
Indexed = tuple[np.ndarray, np.ndarray]  # labels (H, W) and palette (K, 3) or (K, 4)


def restore_indexed(result: Indexed) -> tuple[np.ndarray, int]:
    """Return the image (H, W, 3) of labels and palette, and its bytes by fastkq's writer."""
    labels, palette = result
    used = palette[: int(labels.max()) + 1]
    return used[labels], len(encode_indexed_png(labels, used))


def restore_png(data: bytes) -> tuple[np.ndarray, int]:
    """Return the image (H, W, 3), or with alpha (H, W, 4), of a PNG file, and its bytes."""
    with Image.open(io.BytesIO(data)) as image:
        mode = "RGBA" if image.has_transparency_data else "RGB"
        return np.asarray(image.convert(mode)), len(data)


@dataclass(frozen=True)
class Contender:
    """A tool.

    Attributes
    ----------
    run : called with what `prepare` returned and K; this is timed
    prepare : turns the array into what the tool reads; not timed
    restore : turns the tool's result into an image (H, W, 3) and the bytes of its file
    max_pixels : larger images would take minutes
    colors : the K it can do; None for any
    """

    run: Callable[[Any, int], Any]
    prepare: Callable[[np.ndarray], Any] = lambda image: image
    restore: Callable[[Any], tuple[np.ndarray, int]] = restore_indexed
    max_pixels: int | None = None
    colors: tuple[int, ...] | None = None

    def can(self, n_pixels: int, n_colors: int) -> bool:
        """Whether it does such an image."""
        small_enough = self.max_pixels is None or n_pixels <= self.max_pixels
        return small_enough and (self.colors is None or n_colors in self.colors)


def make_fastkq(**options: object) -> Contender:
    """Return fastkq with options."""

    def run(image: np.ndarray, n_colors: int) -> Indexed:
        result = fastkq.quantize(image, n_colors, **options)
        return result.labels, result.palette

    return Contender(run)


def make_pillow(method: str) -> Contender:
    """One of Pillow's methods."""
    if method == "LIBIMAGEQUANT" and not features.check_feature("libimagequant"):
        raise ImportError("this Pillow is built without libimagequant")

    def run(image: np.ndarray, n_colors: int) -> Indexed:
        result = Image.fromarray(image).quantize(
            n_colors, Image.Quantize[method], dither=Image.Dither.NONE
        )
        return np.asarray(result), np.array(result.getpalette(), np.uint8).reshape(-1, 3)

    return Contender(run)


def make_imagequant() -> Contender:
    """libimagequant, by its Python binding."""
    import imagequant

    def run(image: np.ndarray, n_colors: int) -> Indexed:
        height, width = image.shape[:2]
        rgba = np.dstack([image, np.full((height, width), 255, np.uint8)])
        labels, palette = imagequant.quantize_raw_rgba_bytes(
            rgba.tobytes(), width, height, dithering_level=0.0, max_colors=n_colors
        )
        labels = np.frombuffer(labels, np.uint8).reshape(height, width)
        return labels, np.array(palette, np.uint8).reshape(-1, 4)[:, :3]

    return Contender(run)


def find_pngquant() -> str:
    """Return the command, which `pip install pngquant-cli` puts beside Python."""
    beside_python = str(Path(sys.executable).parent)
    command = shutil.which("pngquant") or shutil.which("pngquant", path=beside_python)
    if command is None:
        raise ImportError("there is no command pngquant")
    return command


def make_pngquant(*, dither: bool = False) -> Contender:
    """The command pngquant, from PNG to PNG: reading and writing are part of its time."""
    command = find_pngquant()

    def prepare(image: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    def run(data: bytes, n_colors: int) -> bytes:
        arguments = [command, *([] if dither else ["--nofs"]), str(n_colors), "-"]
        return subprocess.run(arguments, input=data, capture_output=True, check=True).stdout

    return Contender(run, prepare=prepare, restore=restore_png)


def make_pyvips() -> Contender:
    """libvips, from array to PNG: it gives no labels, so that writing is part of its time."""
    import pyvips

    bits = {2: 1, 4: 2, 16: 4, 256: 8}

    def run(image: np.ndarray, n_colors: int) -> bytes:
        source = pyvips.Image.new_from_array(image, interpretation="srgb")
        return source.pngsave_buffer(palette=True, bitdepth=bits[n_colors], dither=0, Q=100)

    return Contender(run, restore=restore_png, colors=tuple(bits))


def make_sklearn() -> Contender:
    """The recipe of scikit-learn's example: fit a sample, predict all pixels."""
    from sklearn.cluster import KMeans

    return _fit_and_predict(lambda k: KMeans(k, n_init=1, random_state=0), SAMPLE)


def make_minibatch() -> Contender:
    """scikit-learn's mini-batches over a sample; over all pixels they took more than 20 minutes."""
    from sklearn.cluster import MiniBatchKMeans

    return _fit_and_predict(
        lambda k: MiniBatchKMeans(k, batch_size=4096, n_init=1, random_state=0), MINIBATCH_SAMPLE
    )


def _fit_and_predict(make_model: Callable[[int], Any], n_samples: int) -> Contender:
    def run(image: np.ndarray, n_colors: int) -> Indexed:
        pixels = image.reshape(-1, 3).astype(np.float32)
        sample = np.random.default_rng(0).integers(0, len(pixels), n_samples)
        model = make_model(n_colors).fit(pixels[sample])
        return _to_indexed(image, model.predict(pixels), model.cluster_centers_)

    return Contender(run)


def make_faiss() -> Contender:
    """Run faiss.Kmeans with its default sample of 256 pixels a center, search all pixels."""
    import faiss

    def run(image: np.ndarray, n_colors: int) -> Indexed:
        pixels = image.reshape(-1, 3).astype(np.float32)
        model = faiss.Kmeans(3, n_colors, seed=1)
        model.train(pixels)
        _, labels = model.index.search(pixels, 1)
        return _to_indexed(image, labels[:, 0], model.centroids)

    return Contender(run)


def make_opencv() -> Contender:
    """OpenCV's kmeans over all pixels, as its tutorial has it, but seeded by k-means++."""
    import cv2

    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, OPENCV_ITERATIONS, 1.0)

    def run(image: np.ndarray, n_colors: int) -> Indexed:
        cv2.setRNGSeed(0)
        pixels = image.reshape(-1, 3).astype(np.float32)
        _, labels, centers = cv2.kmeans(pixels, n_colors, None, stop, 1, cv2.KMEANS_PP_CENTERS)
        return _to_indexed(image, labels[:, 0], centers)

    return Contender(run, max_pixels=OPENCV_LIMIT)


def _to_indexed(image: np.ndarray, labels: np.ndarray, centers: np.ndarray) -> Indexed:
    """Return flat labels and float centers as labels (H, W) and a palette."""
    palette = np.rint(np.clip(centers, 0, 255)).astype(np.uint8)
    return labels.astype(np.uint8).reshape(image.shape[:2]), palette


MAKERS: dict[str, Callable[[], Contender]] = {
    "fastkq": make_fastkq,
    'fastkq, effort="fast"': lambda: make_fastkq(effort="fast"),
    "Pillow FASTOCTREE": lambda: make_pillow("FASTOCTREE"),
    "Pillow MEDIANCUT": lambda: make_pillow("MEDIANCUT"),
    "Pillow MAXCOVERAGE": lambda: make_pillow("MAXCOVERAGE"),
    "Pillow LIBIMAGEQUANT": lambda: make_pillow("LIBIMAGEQUANT"),
    "imagequant": make_imagequant,
    "pngquant (PNG to PNG)": make_pngquant,
    "pyvips (array to PNG)": make_pyvips,
    "scikit-learn KMeans, 10k sample": make_sklearn,
    "scikit-learn MiniBatchKMeans, 200k sample": make_minibatch,
    "faiss.Kmeans": make_faiss,
    "OpenCV kmeans": make_opencv,
}
PACKAGES = (
    "pillow",
    "imagequant",
    "pngquant-cli",
    "pyvips",
    "scikit-learn",
    "faiss-cpu",
    "opencv-python-headless",
)


def make_all(names: list[str]) -> tuple[dict[str, Contender], list[str]]:
    """Return the tools that are installed, and the names of those that are not."""
    present, absent = {}, []
    for name in names:
        try:
            present[name] = MAKERS[name]()
        except ImportError:
            absent.append(name)
    return present, absent
