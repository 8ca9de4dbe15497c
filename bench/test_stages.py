"""Each stage of the pipeline by itself, its answer checked."""

import io

import numpy as np
import pytest
from PIL import Image

import fastkq
from fastkq.cells import ColorCells
from fastkq.kmeans import DensePoints
from fastkq.png import encode_indexed_png
from fastkq.quantize import seed_centers
from fastkq.remap import apply_labels

COLORS = (16, 64, 256)
DENSE_PIXELS = 400_000


def nearest(colors, palette):
    """The brute-force answer, for a sample."""
    differences = colors[:, None, :].astype(np.float32) - palette[None].astype(np.float32)
    return (differences**2).sum(axis=2).argmin(axis=1)


@pytest.mark.benchmark(group="histogram")
def test_histogram(measure, picture):
    n_pixels = picture[..., 0].size
    histogram = measure(lambda: fastkq.color_histogram(picture), n_pixels)
    assert histogram.n_pixels == n_pixels
    assert np.array_equal(histogram.counts @ histogram.colors, picture.sum(axis=(0, 1)))


@pytest.mark.benchmark(group="seed")
@pytest.mark.parametrize("init", ["wu", "k-means++", "random"])
@pytest.mark.parametrize("n_colors", COLORS)
def test_seed(measure, picture, init, n_colors):
    cells = ColorCells(fastkq.color_histogram(picture))
    centers = measure(
        lambda: seed_centers(cells, n_colors, init, 0), picture[..., 0].size, K=n_colors
    )
    assert len(np.unique(centers, axis=0)) == n_colors


@pytest.mark.benchmark(group="Lloyd step")
@pytest.mark.parametrize("n_colors", COLORS)
def test_lloyd_step(measure, picture, palette_of, n_colors):
    histogram = fastkq.color_histogram(picture)
    cells, palette = ColorCells(histogram), palette_of(picture, n_colors)
    n_pixels = picture[..., 0].size
    labels, sums = measure(lambda: cells.assign(palette), n_pixels, K=n_colors)
    sample = slice(None, None, max(1, len(labels) // 5000))
    assert np.array_equal(labels[sample], nearest(histogram.colors[sample], palette))
    assert sums[:, 0].sum() == n_pixels


@pytest.mark.benchmark(group="remap")
@pytest.mark.parametrize("n_colors", COLORS)
def test_remap(measure, picture, palette_of, n_colors):
    histogram, palette = fastkq.color_histogram(picture), palette_of(picture, n_colors)
    of_colors, _ = ColorCells(histogram).assign(palette)
    n_pixels = picture[..., 0].size
    labels = measure(
        lambda: apply_labels(picture, histogram.codes, of_colors), n_pixels, K=n_colors
    )
    sample = slice(None, None, max(1, n_pixels // 5000))
    expected = nearest(picture.reshape(-1, 3)[sample], palette)
    assert np.array_equal(labels.ravel()[sample], expected)


def dense_points(picture):
    pixels = picture.reshape(-1, 3)[:DENSE_PIXELS].astype(np.float32)
    return DensePoints(pixels, np.ones(len(pixels)))


@pytest.mark.benchmark(group="dense assign")
@pytest.mark.parametrize("n_colors", COLORS)
def test_dense_assign(measure, palette_of, synthetic_small, n_colors):
    data = dense_points(synthetic_small)
    palette = palette_of(synthetic_small, n_colors).astype(np.float32)
    labels, _ = measure(lambda: data.assign(palette), len(data.points), K=n_colors)
    assert np.array_equal(labels[::97], nearest(data.points[::97], palette))


@pytest.mark.benchmark(group="dense update")
@pytest.mark.parametrize("n_colors", COLORS)
def test_dense_update(measure, palette_of, synthetic_small, n_colors):
    data = dense_points(synthetic_small)
    labels, _ = data.assign(palette_of(synthetic_small, n_colors).astype(np.float32))
    sums = measure(lambda: data.sum_clusters(labels, n_colors), len(data.points), K=n_colors)
    assert np.array_equal(sums[:, 0], np.bincount(labels, minlength=n_colors))
    assert np.array_equal(sums[:, 1:].sum(axis=0), data.points.sum(axis=0, dtype=float))


@pytest.mark.benchmark(group="PNG write")
@pytest.mark.parametrize("n_colors", COLORS)
def test_png_write(measure, picture, palette_of, n_colors):
    palette = palette_of(picture, n_colors)
    labels = fastkq.remap(picture, palette)
    data = measure(lambda: encode_indexed_png(labels, palette), labels.size, K=n_colors)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(np.asarray(image), labels)
