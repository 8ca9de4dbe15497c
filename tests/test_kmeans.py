"""The dense engine: hand-worked cases, its twin, scikit-learn's contract, empty clusters."""

import itertools

import naive
import numpy as np
import pytest

import fastkq
from fastkq.engine.dense import DensePoints
from fastkq.engine.lloyd import farthest_points, replace_empty, update

FOUR_POINTS = np.array([[0.0, 0.0], [0.0, 2.0], [10.0, 0.0], [10.0, 4.0]])


def test_two_clusters_by_hand():
    """A bad start ends in a local minimum, low against high.

    1. labels 0 1 0 1, since (10, 0) is nearer to (0, 0) and (10, 4) to (0, 2):
       centers (5, 0) and (5, 3)
    2. the same labels: nothing moves
    """
    result = fastkq.kmeans(FOUR_POINTS, 2, init=[[0.0, 0.0], [0.0, 2.0]], tol=0)
    assert result.centers.tolist() == [[5.0, 0.0], [5.0, 3.0]]
    assert result.labels.tolist() == [0, 1, 0, 1]
    assert result.inertia == 25 + 26 + 25 + 26
    assert result.n_iter == 2


def test_good_start_by_hand():
    result = fastkq.kmeans(FOUR_POINTS, 2, init=[[1.0, 1.0], [9.0, 1.0]], tol=0)
    assert result.centers.tolist() == [[0.0, 1.0], [10.0, 2.0]]
    assert result.labels.tolist() == [0, 0, 1, 1]
    assert result.inertia == 1 + 1 + 4 + 4


def test_weights_by_hand():
    """A weight of 3 pulls the mean of 0 and 4 to 1; weight 0 has a label but no say."""
    result = fastkq.kmeans(
        [[0.0], [4.0], [100.0]], 1, sample_weight=[3, 1, 0], init=[[50.0]], tol=0
    )
    assert result.centers.tolist() == [[1.0]]
    assert result.inertia == 3 * 1 + 1 * 9
    assert result.labels.tolist() == [0, 0, 0]


def test_empty_cluster_by_hand():
    """A center far from all points gets none; it moves to the point farthest from the others."""
    points = [[0.0], [1.0], [9.0]]
    result = fastkq.kmeans(points, 2, init=[[0.0], [1000.0]], max_iter=1, tol=0)
    # The first center moves to the mean 10/3, the empty one to 9.
    assert result.centers.tolist() == [[10 / 3], [9.0]]
    assert result.labels.tolist() == [0, 0, 1]


def test_update_keeps_the_center_of_an_empty_cluster():
    sums = np.array([[2.0, 6.0, 8.0], [0.0, 0.0, 0.0]])
    centers = np.array([[9.0, 9.0], [1.0, 2.0]])
    assert update(sums, centers).tolist() == [[3.0, 4.0], [1.0, 2.0]]
    assert centers.tolist() == [[9.0, 9.0], [1.0, 2.0]]


def test_replace_empty_takes_the_worst_served_points_in_turn():
    points = DensePoints(np.array([[0.0], [5.0], [6.0], [-4.0]]), np.ones(4))
    centers = np.array([[0.0], [99.0], [99.0]])
    moved = replace_empty(points, centers, np.array([False, True, True]))
    # 6 is farthest from 0; then 5 is next to 6, so -4 is.
    assert moved.tolist() == [[0.0], [6.0], [-4.0]]


def test_farthest_points_break_ties_by_coordinates():
    points = np.array([[1.0, 5.0], [1.0, 2.0], [0.0, 9.0], [3.0, 3.0]])
    distances = np.array([7.0, 7.0, -1.0, 1.0])
    assert farthest_points(points, distances, 1).tolist() == [[1.0, 2.0]]
    order = np.array([3, 1, 2, 0])
    assert farthest_points(points[order], distances[order], 1).tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n_channels", "relaxation"), [(1, 1.0), (3, 1.0), (5, 1.0), (3, 1.8)])
def test_it_is_the_textbook_loop(dtype, n_channels, relaxation):
    rng = np.random.default_rng(n_channels)
    points = rng.normal(size=(701, n_channels)).astype(dtype)
    weights = rng.random(701) + 0.1
    start = points[:6].copy()
    options = {"max_iter": 20, "tol": 1e-3, "relaxation": relaxation}
    result = fastkq.kmeans(points, 6, sample_weight=weights, init=start, **options)
    centers, n_iter = naive.lloyd(points, weights, start, **options)
    assert result.n_iter == n_iter
    assert result.centers.dtype == dtype
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(result.centers, centers, rtol=tolerance, atol=tolerance)
    assert np.array_equal(result.labels, naive.assign(points, result.centers))


@pytest.mark.parametrize("relaxation", [1, 1.8])
def test_inertia_never_rises(relaxation):
    rng = np.random.default_rng(8)
    points = rng.normal(size=(2000, 3))
    inertias = [
        fastkq.kmeans(points, 12, init="random", max_iter=n, tol=0, relaxation=relaxation).inertia
        for n in range(1, 15)
    ]
    assert all(after <= before for before, after in itertools.pairwise(inertias))
    assert inertias[-1] < inertias[0]


def test_relaxed_updates_end_where_no_center_moves():
    points = np.random.default_rng(3).normal(size=(500, 2))
    relaxed = fastkq.kmeans(points, 5, tol=0, relaxation=1.9)
    again = fastkq.kmeans(points, 5, init=relaxed.centers, tol=0)
    assert relaxed.n_iter < 300
    assert again.n_iter == 1
    assert np.array_equal(again.centers, relaxed.centers)


def test_relaxed_updates_halve_the_iterations(images):
    histogram = fastkq.color_histogram(images / "kodim03.png")
    points, weights = histogram.colors[::7].astype(np.float32), histogram.counts[::7]

    def inertia(relaxation, max_iter):
        return fastkq.kmeans(
            points,
            32,
            sample_weight=weights,
            init=points[:: len(points) // 32][:32],
            max_iter=max_iter,
            tol=0,
            relaxation=relaxation,
        ).inertia

    assert inertia(1.8, 10) < inertia(1, 20) < inertia(1, 10)


def test_a_weight_is_a_repetition():
    rng = np.random.default_rng(2)
    points = rng.integers(0, 256, (300, 3)).astype(float)
    times = rng.integers(1, 5, 300)
    weighted = fastkq.kmeans(points, 5, sample_weight=times, init=points[:5])
    repeated = fastkq.kmeans(np.repeat(points, times, axis=0), 5, init=points[:5])
    assert np.array_equal(weighted.centers, repeated.centers)
    assert np.array_equal(np.repeat(weighted.labels, times), repeated.labels)
    assert weighted.n_iter == repeated.n_iter


def test_the_order_of_integer_points_does_not_matter():
    rng = np.random.default_rng(3)
    points = rng.integers(0, 256, (999, 3)).astype(np.float32)
    order = rng.permutation(999)
    start = np.array([[0, 0, 0], [255, 255, 255], [9e3, 9e3, 9e3], [9e3, 0, 0]])  # two fall empty
    one = fastkq.kmeans(points, 4, init=start)
    other = fastkq.kmeans(points[order], 4, init=start)
    assert np.array_equal(one.centers, other.centers)
    assert np.array_equal(one.labels[order], other.labels)


@pytest.mark.parametrize("init", ["random", "k-means++"])
def test_seeds_repeat_and_differ(init):
    points = np.random.default_rng(0).normal(size=(3000, 2))
    first = fastkq.kmeans(points, 9, init=init, max_iter=1, random_state=1)
    again = fastkq.kmeans(points, 9, init=init, max_iter=1, random_state=1)
    other = fastkq.kmeans(points, 9, init=init, max_iter=1, random_state=2)
    assert np.array_equal(first.centers, again.centers)
    assert not np.array_equal(first.centers, other.centers)


def test_plus_plus_beats_random_on_separate_clusters():
    """Nine far clusters: k-means++ finds one center in each, random draws do not."""
    rng = np.random.default_rng(6)
    middles = np.array([[x, y] for x in (0, 100, 200) for y in (0, 100, 200)])
    points = np.repeat(middles, 50, axis=0) + rng.normal(size=(450, 2))
    plus_plus = fastkq.kmeans(points, 9, init="k-means++")
    assert plus_plus.inertia < 450 * 2 * 1.3
    assert len(np.unique(plus_plus.labels.reshape(9, 50)[:, 0])) == 9


@pytest.mark.parametrize("init", ["random", "k-means++"])
def test_fewer_distinct_points_than_clusters(init):
    points = np.repeat([[1.0, 2.0], [3.0, 4.0]], 5, axis=0)
    result = fastkq.kmeans(points, 4, init=init)
    assert result.inertia == 0
    assert np.array_equal(result.centers[result.labels], points)


def test_as_many_clusters_as_points():
    points = np.random.default_rng(1).normal(size=(7, 2))
    result = fastkq.kmeans(points, 7)
    assert result.inertia == 0
    assert sorted(result.labels) == list(range(7))


def test_zero_weight_points_are_never_centers():
    points = np.array([[0.0], [1.0], [500.0]])
    for init in ("random", "k-means++", [[0.0], [900.0]]):
        result = fastkq.kmeans(points, 2, sample_weight=[1, 1, 0], init=init)
        assert sorted(result.centers.ravel()) == [0.0, 1.0]


def test_integers_and_lists_are_computed_in_float64():
    result = fastkq.kmeans([[1], [2], [9]], 2)
    assert result.centers.dtype == np.float64
    assert sorted(result.centers.ravel()) == [1.5, 9.0]
