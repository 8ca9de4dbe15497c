"""Colors that the palette must have: `locked`."""

import numpy as np
import pytest
from PIL import Image

import fastkq
from fastkq.engine.cells import ColorCells
from fastkq.engine.escape import (
    Clusters,
    measure_clusters,
    move_centers,
    pick_mergers,
)
from fastkq.engine.lloyd import lloyd
from fastkq.engine.locked import check_locked, drop_nearest, own_palette

BRAND = [[255, 0, 0], [0, 255, 0], [12, 34, 56]]


def gray_cells(levels):
    pixels = np.array(levels, np.uint8)[:, None].repeat(3, axis=1)
    return ColorCells(fastkq.color_histogram(pixels[None]))


@pytest.mark.parametrize("effort", ["fast", "balanced", "best"])
@pytest.mark.parametrize("n_colors", [3, 4, 16, 256])
@pytest.mark.parametrize("init", ["wu", "k-means++"])
def test_locked_colors_come_first_and_exactly(images, effort, n_colors, init):
    photo = np.asarray(Image.open(images / "photo-sunset.png").convert("RGB"))[::2, ::3]
    result = fastkq.quantize(photo, n_colors, effort=effort, init=init, locked=BRAND)
    assert result.palette[:3].tolist() == BRAND
    assert len(np.unique(result.palette, axis=0)) == n_colors
    # All others are used, the labels are those of the nearest, the error is theirs.
    assert set(range(3, n_colors)) <= set(np.unique(result.labels).tolist())
    assert np.array_equal(result.labels, fastkq.remap(photo, result.palette))
    assert result.inertia == np.sum((result.to_array().astype(int) - photo) ** 2)


def test_the_rest_is_fitted_around_them():
    # 20 belongs to the locked 10; 100 and 110 have the free center in their middle.
    gray = np.array([[20, 100, 110, 20]], np.uint8)
    result = fastkq.quantize(gray, 2, locked=[[10, 10, 10]])
    assert result.palette[:, 0].tolist() == [10, 105]
    assert result.labels.tolist() == [[0, 1, 1, 0]]
    assert result.inertia == 3 * (2 * 100 + 2 * 25)


def test_best_is_no_worse_than_balanced_around_them(images):
    for n_colors in (4, 5, 16, 8):
        balanced, best = (
            fastkq.quantize(images / "kodim03.png", n_colors, effort=effort, locked=BRAND)
            for effort in ("balanced", "best")
        )
        assert best.inertia <= balanced.inertia * (1 + 1e-4)
    assert best.inertia < 0.95 * balanced.inertia


def test_none_locked_is_the_default(images):
    photo = images / "photo-sunset.png"
    plain = fastkq.fit_palette(photo, 7)
    for none in (None, [], np.empty((0, 3), np.uint8)):
        assert np.array_equal(fastkq.fit_palette(photo, 7, locked=none), plain)


def test_all_locked_is_a_remap(images):
    result = fastkq.quantize(images / "photo-sunset.png", 3, locked=BRAND)
    assert (result.palette.tolist(), result.n_iter) == (BRAND, 0)
    assert np.array_equal(result.labels, fastkq.remap(images / "photo-sunset.png", BRAND))


def test_few_colors_stay_as_they_are_beside_the_locked():
    image = np.array([[[9, 9, 9], [1, 2, 3], [12, 34, 56], [9, 9, 9]]], np.uint8)
    result = fastkq.quantize(image, 5, locked=BRAND)
    assert result.palette.tolist() == [*BRAND, [1, 2, 3], [9, 9, 9]]
    assert result.labels.tolist() == [[4, 3, 2, 4]]
    assert (result.inertia, result.n_iter) == (0, 0)
    # Without room for both others, they share an entry.
    assert fastkq.quantize(image, 4, locked=BRAND).palette.tolist()[3:] == [[6, 7, 7]]
    histogram = fastkq.color_histogram(image)
    assert own_palette(histogram, 4, check_locked(BRAND, 4)[:, :3]) is None
    palette, labels = own_palette(histogram, 3, check_locked([], 3)[:, :3])
    assert np.array_equal(palette, histogram.colors)
    assert labels.tolist() == [0, 1, 2]


def test_the_nearest_of_given_centers_give_way():
    centers = np.array([[0, 0, 0], [9, 9, 9], [90, 90, 90]], np.float32)
    assert drop_nearest(centers, check_locked([[8, 8, 8], [0, 0, 1]], 3)[:, :3]).tolist() == [
        [90] * 3
    ]
    gray = np.array([[0, 9, 50, 70]], np.uint8)
    result = fastkq.quantize(gray, 3, init=centers, max_iter=0, locked=[[60, 60, 60]])
    assert result.palette[:, 0].tolist() == [60, 0, 9]


def test_lloyd_leaves_them_where_they_are():
    cells = gray_cells([10, 20, 100, 110])
    start = np.array([[0] * 3, [255] * 3, [90] * 3], np.float32)
    centers, _ = lloyd(cells, start, max_iter=20, tol=0, relaxation=1.8, n_locked=2)
    assert centers[:, 0].tolist() == [0, 255, 105]  # the locked 255 has no color


def test_locked_clusters_are_measured_around_their_centers():
    cells = gray_cells([10, 14, 200])
    found = measure_clusters(cells, np.array([[9] * 3, [199] * 3], np.float32), n_locked=1)
    assert found.means.tolist() == [[9] * 3, [200] * 3]
    assert found.errors.tolist() == [3 * (1 + 25), 0]


def test_escape_neither_moves_nor_splits_them():
    cells = gray_cells([10, 12, 100, 180, 240, 242])
    centers = np.array([[60] * 3, [11] * 3, [240] * 3, [242] * 3], np.float32)
    clusters = measure_clusters(cells, centers, n_locked=1)
    moved = pick_mergers(clusters, 2, set())
    assert len(moved) == 2
    assert 0 not in moved
    for each in (moved, np.arange(1, 4)):
        assert move_centers(clusters, each)[0].tolist() == [60] * 3


def test_a_merger_with_a_locked_cluster_costs_the_whole_way():
    clusters = Clusters(
        np.array([0.0, 2, 3]),
        np.array([[0.0, 0, 0], [5, 0, 0], [9, 0, 0]]),
        np.zeros((3, 3, 3)),
        n_locked=1,
    )
    between = 2 * 3 / 5 * 16
    assert clusters.merger_costs.tolist() == [
        [np.inf] * 3,
        [2 * 25, np.inf, between],
        [3 * 81, between, np.inf],
    ]


@pytest.mark.parametrize(
    ("locked", "kind", "message"),
    [
        ([[1, 2, 3]] * 2, ValueError, r"locked has \(1, 2, 3\) 2 times; each color is allowed"),
        ([[i, 0, 0] for i in range(5)], ValueError, "locked has 5 colors; n_colors allows 4"),
        ([1, 2, 3], ValueError, r"locked has shape \(3,\); \(L, 3\) and \(L, 4\) are allowed"),
        ([[1, 2]], ValueError, r"locked has shape \(1, 2\)"),
        ([[0, 0, 256]], ValueError, "locked has values from 0 to 256; 0 to 255 are allowed"),
        ([[0, 0, -1]], ValueError, "locked has values from -1 to 0"),
        ([[0.5, 0, 0]], TypeError, "locked has dtype float64; integers"),
        (["ff0000"], TypeError, "locked has dtype <U6; integers"),
    ],
)
def test_bad_locked_colors(locked, kind, message):
    image = np.zeros((2, 2), np.uint8)
    for call in (fastkq.quantize, fastkq.fit_palette):
        with pytest.raises(kind, match=message):
            call(image, 4, locked=locked)
