"""Split and merge rounds: `effort="best"`."""

from functools import partial

import numpy as np
import pytest

import fastkq
from fastkq.engine.cells import ColorCells
from fastkq.engine.escape import (
    Clusters,
    escape,
    measure_clusters,
    move_centers,
    pick_mergers,
)
from fastkq.engine.lloyd import lloyd


def gray_cells(levels):
    pixels = np.array(levels, np.uint8)[:, None].repeat(3, axis=1)
    return ColorCells(fastkq.color_histogram(pixels[None]))


def test_clusters_are_measured_by_their_colors():
    cells = gray_cells([10, 10, 10, 14, 200])
    found = measure_clusters(cells, np.array([[9] * 3, [210] * 3, [255, 0, 0]], np.float32))
    assert found.weights.tolist() == [4, 1, 0]
    assert found.means.tolist() == [[11] * 3, [200] * 3, [255, 0, 0]]
    assert found.errors.tolist() == [3 * (3 * 1 + 9), 0, 0]
    assert found.covariances[0].tolist() == [[3.0] * 3] * 3


def test_moments_equal_their_twin(images):
    histogram = fastkq.color_histogram(images / "photo-sunset.png")
    cells = ColorCells(histogram)
    palette = fastkq.fit_palette(histogram, 9)
    labels, _ = cells.assign(palette)
    colors, counts = histogram.colors.astype(float), histogram.counts
    for cluster, moments in enumerate(cells.moments(palette)):
        x, w = colors[labels == cluster], counts[labels == cluster]
        products = [(w * x[:, a] * x[:, b]).sum() for a, b in PAIRS]
        assert moments.tolist() == [w.sum(), *(w @ x), *products]


PAIRS = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]


def three_clusters():
    """Two light ones near each other; a heavy one that is long in green."""
    covariances = np.zeros((3, 3, 3))
    covariances[2, 1, 1] = 16
    return Clusters(
        np.array([1.0, 3, 100]),
        np.array([[0.0, 0, 0], [4, 0, 0], [100, 100, 100]]),
        covariances,
    )


def test_mergers_cost_the_weighted_distance():
    costs = three_clusters().merger_costs
    assert costs[0, 1] == costs[1, 0] == 1 * 3 / 4 * 16
    assert np.isinf(np.diag(costs)).all()


def test_one_of_a_pair_moves_into_the_worst_cluster():
    clusters = three_clusters()
    moved = pick_mergers(clusters, 1, set())
    assert moved.tolist() == [0]
    assert move_centers(clusters, moved).tolist() == [[100, 104, 100], [4, 0, 0], [100, 96, 100]]
    assert pick_mergers(clusters, 1, {0}).tolist() == [1]


def test_it_leaves_a_local_minimum_that_lloyd_does_not():
    levels = np.repeat([10, 12, 100, 130, 240], [40, 40, 40, 40, 40])
    cells = gray_cells(levels)
    stuck = np.array([[10] * 3, [12] * 3, [115] * 3, [240] * 3], np.float32)
    options = {"max_iter": 50, "tol": 0, "relaxation": 1.0}
    assert np.array_equal(lloyd(cells, stuck, **options)[0], stuck)
    centers, _ = escape(cells, stuck, partial(measure_clusters, cells), **options)
    assert sorted(centers[:, 0].tolist()) == [11, 100, 130, 240]


@pytest.mark.parametrize("n_colors", [1, 2, 3, 16, 200])
@pytest.mark.parametrize("name", ["kodim03.png", "photo-sunset.png"])
def test_best_is_never_worse(images, name, n_colors):
    best = fastkq.quantize(images / name, n_colors, effort="best")
    balanced = fastkq.quantize(images / name, n_colors)
    assert len(best.palette) == len(balanced.palette)
    # Rounding the centers may cost a little of what was won.
    assert best.inertia <= balanced.inertia * (1 + 1e-4)


def test_best_finds_what_balanced_misses(images):
    best, balanced = (
        fastkq.quantize(images / "kodim03.png", 16, effort=e) for e in ("best", "balanced")
    )
    assert best.inertia < 0.99 * balanced.inertia


def test_more_centers_than_colors_need():
    few = np.array([[0, 0, 0], [0, 0, 9], [250, 0, 0]], np.uint8)[[0, 1, 2, 0]][None]
    assert fastkq.quantize(few, 3, effort="best").inertia == 0
    assert fastkq.quantize(few, 2, effort="best").inertia == 27 * 2
