"""Oklab: the published numbers, exact round trips, and the engine of sRGB in another space."""

import naive
import numpy as np
import pytest
from test_kernels import THREADS, clustered_pixels, histogram_of

import fastkq
from fastkq.colors.spaces import OKLAB_UNITS, to_colors, to_points
from fastkq.engine.cells import ColorCells
from fastkq.kernels import threads

PRIMARIES = np.array([[255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 0, 0]], np.uint8)


def test_oklab_has_the_published_coordinates():
    """Those of the CSS Color Module Level 4 for white, red, lime, blue and black."""
    expected = [
        [1, 0, 0],
        [0.62796, 0.22486, 0.12585],
        [0.86644, -0.23389, 0.17950],
        [0.45201, -0.03246, -0.31153],
        [0, 0, 0],
    ]
    np.testing.assert_allclose(to_points(PRIMARIES, "oklab") / OKLAB_UNITS, expected, atol=2e-5)


@pytest.mark.parametrize("space", ["srgb", "oklab"])
def test_every_color_comes_back(space):
    """Of all 16.7 million, all on the six faces of the cube, and a lattice inside."""
    levels = np.arange(256, dtype=np.uint8)
    faces = []
    for channel in range(3):
        for level in (0, 255):
            face = np.stack(np.meshgrid(levels, levels, indexing="ij"), axis=-1).reshape(-1, 2)
            faces.append(np.insert(face, channel, level, axis=1))
    lattice = np.stack(np.meshgrid(*[levels[1::9]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    colors = np.concatenate([*faces, lattice])
    points = to_points(colors, space)
    assert points.dtype == np.float32
    assert np.array_equal(points, np.rint(points))
    assert np.array_equal(to_colors(points, space), colors)


def test_grays_stay_gray():
    levels = np.arange(256, dtype=np.uint8)
    grays = np.repeat(levels[:, None], 3, axis=1)
    points = to_points(grays, "oklab")
    means = (points[:-1] + points[1:]) / 2 + np.float32(1.3)
    assert (np.ptp(to_colors(means, "oklab").astype(int), axis=1) == 0).all()
    ramp = np.tile(levels, (16, 16))
    result = fastkq.quantize(ramp, 7, color_space="oklab")
    assert (np.ptp(result.palette.astype(int), axis=1) == 0).all()
    assert result.inertia == ((ramp.astype(int) - result.to_array()) ** 2).sum() * 3


@pytest.mark.parametrize("n_threads", THREADS)
@pytest.mark.parametrize("n_clusters", [1, 5, 64, 256])
def test_cells_equal_brute_force_in_oklab(n_threads, n_clusters):
    before = threads.n_threads()
    threads.set_threads(n_threads)
    histogram = histogram_of(clustered_pixels(3001, seed=n_clusters))
    points = to_points(histogram.colors, "oklab")
    rng = np.random.default_rng(5)
    centers = points[rng.integers(0, len(points), n_clusters)]
    centers[n_clusters // 2 :] += rng.normal(0, 2000, centers[n_clusters // 2 :].shape)
    labels, sums = ColorCells(histogram, "oklab").assign(centers)
    threads.set_threads(before)
    expected = naive.assign(points, centers)
    assert np.array_equal(labels, expected)
    assert np.array_equal(sums, naive.accumulate(points, histogram.counts, expected, n_clusters))


@pytest.mark.parametrize("init", ["wu", "k-means++", "random"])
@pytest.mark.parametrize("effort", ["balanced", "best"])
def test_pixels_get_the_entry_that_is_nearest_in_oklab(init, effort):
    image = clustered_pixels(70_003, seed=3).reshape(1, -1, 3)
    result = fastkq.quantize(image, 24, color_space="oklab", init=init, effort=effort)
    pixels, palette = to_points(image[0], "oklab"), to_points(result.palette, "oklab")
    assert np.array_equal(result.labels[0], naive.assign(pixels, palette))
    assert len(np.unique(result.labels)) == 24
    assert result.inertia == ((image.astype(int) - result.to_array()) ** 2).sum()
    in_srgb = fastkq.quantize(image, 24, init=init, effort=effort)
    assert in_srgb.inertia < result.inertia
    assert error_in_oklab(image, result) < error_in_oklab(image, in_srgb)


def error_in_oklab(image, result):
    pixels = to_points(image.reshape(-1, 3), "oklab")
    shown = to_points(result.to_array().reshape(-1, 3), "oklab")
    return float(((pixels - shown).astype(float) ** 2).sum())


def test_fast_is_for_srgb():
    rng = np.random.default_rng(1)
    image = rng.integers(0, 200, (701, 701, 3)).astype(np.uint8)
    exact = fastkq.quantize(image, 8, color_space="oklab")
    fast = fastkq.quantize(image, 8, color_space="oklab", effort="fast")
    assert np.array_equal(exact.palette, fast.palette)
    assert np.array_equal(exact.labels, fast.labels)


def test_lossless_and_given_centers():
    image = np.array([[[9, 200, 40], [250, 250, 0], [0, 0, 90]]], np.uint8)
    result = fastkq.quantize(image, 8, color_space="oklab")
    assert np.array_equal(result.to_array(), image)
    assert result.inertia == 0
    given = fastkq.quantize(
        image, 2, color_space="oklab", init=[[9, 200, 40], [0, 0, 90]], max_iter=0
    )
    assert given.palette.tolist() == [[9, 200, 40], [0, 0, 90]]
    assert given.labels.tolist() == [[0, 0, 1]]


def test_unknown_space():
    with pytest.raises(ValueError, match=r"color_space is 'lab'; one of .*oklab.* is allowed"):
        fastkq.quantize(np.zeros((2, 2), np.uint8), color_space="lab")
