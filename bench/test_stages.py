"""Each stage of the pipeline by itself, its answer checked."""

import io
from itertools import repeat

import numpy as np
import pytest
from pictures import palette_of
from PIL import Image

import fastkq
from fastkq.engine.cells import ColorCells
from fastkq.engine.dense import DensePoints
from fastkq.engine.lloyd import update
from fastkq.engine.opaque import label_cells, seed_centers
from fastkq.files.png import encode_indexed_png
from fastkq.paint.dither import Dithering
from fastkq.paint.labels import Labeler

COLORS = (16, 64, 256)
SAMPLE = 4000  # colors or pixels that are checked by brute force
STEPS = 8  # of a K-means run that are timed: photos take 8 to 26


def nearest(colors, centers):
    """The brute-force answer: the nearest center of each color, ties to the lowest index."""
    differences = colors[:, None, :].astype(np.float32) - centers[None].astype(np.float32)
    return (differences**2).sum(axis=2).argmin(axis=1)


def every(n_items):
    """A slice that takes a sample."""
    return slice(None, None, max(1, n_items // SAMPLE))


@pytest.mark.benchmark(group="histogram")
def test_histogram(measure, image):
    n_pixels = image[..., 0].size
    histogram = measure(
        lambda: fastkq.color_histogram(image), n_pixels, count=lambda found: {"colors": len(found)}
    )
    assert histogram.counts.sum() == n_pixels
    assert np.all(np.diff(histogram.codes.astype(np.int64)) > 0)
    assert np.array_equal(histogram.counts @ histogram.colors, image.sum(axis=(0, 1)))


@pytest.mark.benchmark(group="color cells")
def test_color_cells(measure, image):
    n_pixels = image[..., 0].size
    histogram = fastkq.color_histogram(image)
    cells = measure(lambda: ColorCells(histogram), n_pixels)
    assert cells.grid_totals[:, 0].sum() == n_pixels
    assert np.array_equal(cells.grid_totals[:, 1:4].sum(axis=0), image.sum(axis=(0, 1)))


@pytest.mark.benchmark(group="seed")
@pytest.mark.parametrize("init", ["wu", "k-means++", "random"])
@pytest.mark.parametrize("n_colors", COLORS)
def test_seed(measure, image, init, n_colors):
    cells = ColorCells(fastkq.color_histogram(image))
    centers = measure(
        lambda: seed_centers(cells, n_colors, init, 0), image[..., 0].size, K=n_colors
    )
    assert len(np.unique(centers, axis=0)) == n_colors
    assert centers.min() >= 0
    assert centers.max() <= 255


@pytest.mark.benchmark(group="Lloyd step, first")
@pytest.mark.parametrize("n_colors", COLORS)
def test_first_step(measure, image, n_colors):
    """Nothing is known of an earlier step: what labelling by a given palette costs."""
    histogram, palette = fastkq.color_histogram(image), palette_of(image, n_colors)
    n_pixels = image[..., 0].size
    last = {}

    def prepare():
        last["cells"] = ColorCells(histogram)
        return (last["cells"],), {}

    labels, sums = measure(
        lambda cells: cells.assign(palette),
        n_pixels,
        K=n_colors,
        setup=prepare,
        count=lambda _: last["cells"].work,
    )
    sample = every(len(labels))
    assert np.array_equal(labels[sample], nearest(histogram.colors[sample], palette))
    assert sums[:, 0].sum() == n_pixels


def steps(histogram, n_colors):
    """Give cells and the centers of the second and later steps, of one K-means run after another.

    `ColorCells` only looks at what changed since its last step: to time a step twice with the same
    centers would be to time doing nothing.
    """
    start = seed_centers(ColorCells(histogram), n_colors, "wu", 0)
    for cells in map(ColorCells, repeat(histogram)):
        centers = start
        for _ in range(STEPS):
            centers = update(cells.accumulate(centers), centers)
            yield (cells, centers), {}


@pytest.mark.benchmark(group="Lloyd step")
@pytest.mark.parametrize("n_colors", COLORS)
def test_lloyd_step(measure, image, n_colors):
    histogram = fastkq.color_histogram(image)
    walk, last = steps(histogram, n_colors), {}

    def step(cells, centers):
        last.update(cells=cells, centers=centers)
        return cells.accumulate(centers)

    sums = measure(step, image[..., 0].size, K=n_colors, setup=lambda: next(walk))
    labels, same_sums = last["cells"].assign(last["centers"])
    sample = every(len(labels))
    assert np.array_equal(labels[sample], nearest(histogram.colors[sample], last["centers"]))
    assert np.array_equal(sums, same_sums)
    assert np.array_equal(
        sums[:, 0], np.bincount(labels, weights=histogram.counts, minlength=n_colors)
    )


@pytest.mark.benchmark(group="remap")
@pytest.mark.parametrize("n_colors", COLORS)
def test_remap(measure, image, n_colors):
    histogram, palette = fastkq.color_histogram(image), palette_of(image, n_colors)
    fit = label_cells(ColorCells(histogram), palette)
    n_pixels = image[..., 0].size
    labeled = measure(lambda: Labeler(fit, Dithering(), 3).label(image), n_pixels, K=n_colors)
    labels = labeled[0]
    sample = every(n_pixels)
    expected = nearest(image.reshape(-1, 3)[sample], palette)
    assert np.array_equal(labels.ravel()[sample], expected)


@pytest.mark.benchmark(group="dither")
@pytest.mark.parametrize("method", ["diffusion", "adaptive", "ordered"])
def test_dither(measure, image, method):
    palette = palette_of(image, 256)
    nearest_labels = fastkq.remap(image, palette)
    dithering = Dithering(method)

    def dither(labels):
        return labels, dithering.apply(image, palette, labels)

    labels, error = measure(
        dither, image[..., 0].size, K=256, setup=lambda: ((nearest_labels.copy(),), {})
    )
    assert error == np.sum((palette[labels].astype(np.int32) - image) ** 2, dtype=np.int64)
    assert not np.array_equal(labels, nearest_labels)


def dense_points(image):
    points = image.reshape(-1, 3).astype(np.float32)
    return DensePoints(points, np.ones(len(points)))


@pytest.mark.benchmark(group="dense assign")
@pytest.mark.parametrize("n_colors", COLORS)
def test_dense_assign(measure, small_image, n_colors):
    data, palette = dense_points(small_image), palette_of(small_image, n_colors)
    centers = palette.astype(np.float32)
    labels, distances = measure(lambda: data.assign(centers), len(data.points), K=n_colors)
    # The cells' labels of the same pixels, every one of them.
    assert np.array_equal(labels, fastkq.remap(small_image, palette).ravel())
    assert np.array_equal(distances, np.sum((data.points - centers[labels]) ** 2, axis=1))


@pytest.mark.benchmark(group="dense update")
@pytest.mark.parametrize("n_colors", COLORS)
def test_dense_update(measure, small_image, n_colors):
    data = dense_points(small_image)
    labels, _ = data.assign(palette_of(small_image, n_colors).astype(np.float32))
    sums = measure(lambda: data.sum_clusters(labels, n_colors), len(data.points), K=n_colors)
    for column, values in enumerate([data.weights, *data.points.T]):
        expected = np.bincount(labels, weights=values, minlength=n_colors)
        assert np.array_equal(sums[:, column], expected)


@pytest.mark.benchmark(group="PNG write")
@pytest.mark.parametrize("n_colors", COLORS)
def test_png_write(measure, image, n_colors):
    palette = palette_of(image, n_colors)
    labels = fastkq.remap(image, palette)
    data = measure(
        lambda: encode_indexed_png(labels, palette),
        labels.size,
        K=n_colors,
        count=lambda data: {"bytes": len(data)},
    )
    with Image.open(io.BytesIO(data)) as decoded:
        assert np.array_equal(np.asarray(decoded), labels)
        assert decoded.getpalette() == palette.ravel().tolist()
