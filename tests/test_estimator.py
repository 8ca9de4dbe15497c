"""The estimators: scikit-learn's own checks, and its KMeans beside ours, iteration by iteration."""

import pickle
import warnings

import numpy as np
import pytest

import fastkq

pytest.importorskip("sklearn", reason="fastkq[sklearn] is not installed")

import sklearn.cluster
from numba import set_num_threads
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastkq.engine.strict import PixelSamples, Samples, average, relocate_empty
from fastkq.estimator import ColorQuantizer, KMeans
from fastkq.estimator.kmeans import LEAST_PIXELS


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([KMeans(), KMeans(algorithm="relaxed")])
def test_passes_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


def points_of(kind):
    rng = np.random.default_rng(3)
    photo = np.cumsum(rng.integers(-3, 4, (LEAST_PIXELS + 7, 3)), axis=0) % 256
    return {
        "one feature": rng.normal(size=(211, 1)),
        "five features": 1e3 + rng.normal(size=(1009, 5)),
        "four float32": rng.normal(size=(307, 4)).astype(np.float32),
        "pixels": photo.astype(np.uint8),
        "levels": photo / 255,
    }[kind]


def init_of(points, n_clusters):
    """Samples moved a bit, so that no sample is equally near to two centers."""
    rng = np.random.default_rng(4)
    chosen = points[rng.choice(len(points), n_clusters, replace=False)].astype(float)
    return chosen + rng.normal(size=chosen.shape) * 1e-3 * points.std()


def both(n_clusters, init, points, **options):
    """Return scikit-learn's KMeans and ours, fitted alike."""
    options = {"init": init, "n_init": 1, "tol": 0, **options}
    weights = options.pop("sample_weight", None)
    return [
        kind(n_clusters, **options).fit(points, sample_weight=weights)
        for kind in (sklearn.cluster.KMeans, KMeans)
    ]


def assert_alike(theirs, ours, digits=9):
    np.testing.assert_array_equal(theirs.labels_, ours.labels_)
    assert ours.labels_.dtype == np.int32
    assert ours.cluster_centers_.dtype == theirs.cluster_centers_.dtype
    assert theirs.n_iter_ == ours.n_iter_
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=10.0**-digits)
    scale = np.abs(theirs.cluster_centers_).max()
    error = np.abs(theirs.cluster_centers_ - ours.cluster_centers_).max()
    assert error <= 10.0**-digits * scale


@pytest.mark.parametrize("kind", ["one feature", "five features", "pixels", "levels"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_each_iteration_is_that_of_scikit_learn(kind):
    points = points_of(kind)
    init = init_of(points, 7)
    for max_iter in (1, 2, 3, 5, 300):
        assert_alike(*both(7, init, points, max_iter=max_iter))
    assert_alike(*both(7, init, points, tol=1e-2))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_float32_is_as_exact_as_scikit_learn():
    points = points_of("four float32")
    for max_iter in (1, 4, 300):
        assert_alike(*both(5, init_of(points, 5), points, max_iter=max_iter), digits=5)


@pytest.mark.parametrize("kind", ["five features", "pixels", "levels"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_empty_clusters_move_as_in_scikit_learn(kind):
    points = points_of(kind)
    init = init_of(points, 6)
    init[1], init[4] = 1e5, -1e5
    for max_iter in (1, 2, 300):
        assert_alike(*both(6, init, points, max_iter=max_iter))


def test_an_empty_cluster_by_hand():
    """The sample farthest from its center, 10, leaves the cluster of 0 and 1 for the empty one."""
    samples = Samples(np.array([[0.0], [1.0], [10.0]]), np.array([1.0, 1.0, 2.0]))
    sums = np.array([[4.0, 21.0], [0.0, 0.0]])
    relocate_empty(samples, sums, np.zeros(3, np.int32), np.array([0.0, 1.0, 100.0]))
    assert sums.tolist() == [[2.0, 1.0], [2.0, 20.0]]
    assert average(sums).tolist() == [[0.5], [10.0]]


def test_a_cluster_without_weight_lies_on_the_heaviest():
    assert average(np.array([[1.0, 5.0], [0.0, 0.0], [4.0, 8.0]])).tolist() == [[5], [2], [2]]


def test_weights_are_those_of_scikit_learn():
    points = points_of("five features")
    weights = np.random.default_rng(5).random(len(points)) + 0.1
    for max_iter in (3, 300):
        theirs, ours = both(7, init_of(points, 7), points, sample_weight=weights, max_iter=max_iter)
        assert_alike(theirs, ours)
        assert ours.score(points, sample_weight=weights) == pytest.approx(
            theirs.score(points, sample_weight=weights), rel=1e-9
        )


@pytest.mark.parametrize("kind", ["five features", "pixels"])
def test_what_a_fitted_model_says_is_what_scikit_learn_says(kind):
    points = points_of(kind)
    theirs, ours = both(4, init_of(points, 4), points)
    new = points[::-1][:501]
    np.testing.assert_array_equal(ours.predict(new), theirs.predict(new))
    np.testing.assert_array_equal(ours.predict(points), ours.labels_)
    np.testing.assert_allclose(ours.transform(new), theirs.transform(new), rtol=1e-6, atol=1e-6)
    assert ours.score(points) == pytest.approx(-ours.inertia_, rel=1e-12)
    assert list(ours.get_feature_names_out()) == [f"kmeans{i}" for i in range(4)]


@pytest.mark.parametrize("scale", [1, 255])
def test_pixels_have_the_clusters_that_their_samples_have_one_by_one(scale):
    pixels = points_of("pixels")
    rows = pixels / scale
    by_color = PixelSamples(pixels, scale, np.dtype(np.float64))
    assert len(by_color.distinct.points) < len(pixels)
    one_by_one = Samples(rows, np.ones(len(rows)))
    assert by_color.variance == pytest.approx(one_by_one.variance, rel=1e-12)
    for n_clusters in (5, 300):  # more than a byte can number
        centers = init_of(rows, n_clusters)
        labels, _ = by_color.distinct.assign(centers)
        expected, _ = one_by_one.distinct.assign(centers)
        np.testing.assert_array_equal(by_color.spread(labels), expected)


def test_the_same_on_any_number_of_threads():
    points = points_of("five features")
    found = []
    for n_threads in (1, 2, 3):
        set_num_threads(n_threads)
        model = KMeans(9, random_state=0).fit(points)
        found.append((model.cluster_centers_.tobytes(), model.labels_.tobytes(), model.inertia_))
    set_num_threads(4)
    assert found[0] == found[1] == found[2]


def test_neither_order_nor_repeated_samples_matter_to_the_start():
    points = points_of("five features")[:100]
    shuffled = points[np.random.default_rng(0).permutation(len(points))]
    weighed = KMeans(5, random_state=1).fit(points, sample_weight=np.full(len(points), 3.0))
    thrice = KMeans(5, random_state=1).fit(np.repeat(shuffled, 3, axis=0))
    np.testing.assert_allclose(weighed.cluster_centers_, thrice.cluster_centers_, rtol=1e-9)


@pytest.mark.parametrize("init", ["k-means++", "random", "the first"])
def test_more_runs_are_never_worse(init):
    points = points_of("five features")
    if init == "the first":

        def init(samples, n_clusters, random_state):
            return samples[:n_clusters] + random_state.random_sample((n_clusters, 1))

    one = KMeans(12, init=init, n_init=1, random_state=0).fit(points)
    many = KMeans(12, init=init, n_init=5, random_state=0).fit(points)
    assert many.inertia_ <= one.inertia_


def test_relaxed_needs_fewer_iterations_and_ends_as_well():
    points = points_of("pixels")
    init = init_of(points, 24)
    textbook = KMeans(24, init=init, max_iter=1000).fit(points)
    relaxed = KMeans(24, init=init, max_iter=1000, algorithm="relaxed").fit(points)
    assert relaxed.n_iter_ < textbook.n_iter_
    assert relaxed.inertia_ == pytest.approx(textbook.inertia_, rel=0.05)
    np.testing.assert_array_equal(relaxed.predict(points), relaxed.labels_)


def test_fewer_distinct_samples_than_clusters_is_a_warning():
    points = np.repeat([[1.0, 2.0], [3.0, 4.0]], 5, axis=0)
    with pytest.warns(ConvergenceWarning, match="Number of distinct clusters .2."):
        model = KMeans(3, random_state=0).fit(points)
    assert model.inertia_ == 0


def test_data_and_estimator_are_left_as_they_are():
    points = points_of("pixels")
    before = points.copy()
    model = KMeans(3, copy_x=False, random_state=0).fit(points)
    np.testing.assert_array_equal(points, before)
    again = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own
    np.testing.assert_array_equal(again.predict(points), model.labels_)


def test_verbose_prints_each_iteration(capsys):
    KMeans(2, init=[[0.0], [3.0]], n_init=1, verbose=1).fit([[0.0], [1.0], [4.0]])
    assert capsys.readouterr().out.splitlines() == [
        "Initialization complete",
        "Iteration 0, inertia 2.0.",
        "Iteration 1, inertia 0.5.",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_clusters": 0}, "n_clusters is 0; an integer >= 1"),
        ({"n_clusters": 9}, "n_samples=4 should be >= n_clusters=9"),
        ({"max_iter": 0}, "max_iter is 0"),
        ({"tol": -1}, "tol is -1"),
        ({"n_init": "many"}, "n_init is 'many'; 'auto' or an integer"),
        ({"init": "wu"}, "init is 'wu'; 'k-means\\+\\+', 'random', an array"),
        ({"init": [[1.0, 2.0]]}, "init has shape \\(1, 2\\)"),
        ({"algorithm": "elkan"}, "'elkan' gives what 'lloyd' gives"),
    ],
)
def test_wrong_parameters_are_told(options, message):
    with pytest.raises(ValueError, match=message):
        KMeans(**{"n_clusters": 2, **options}).fit(np.eye(4)[:, :1])


def test_an_array_of_centers_is_run_once():
    with pytest.warns(RuntimeWarning, match="all of n_init=3 runs were equal"):
        KMeans(1, init=[[0.0]], n_init=3).fit([[1.0], [2.0]])


def test_it_works_in_a_pipeline():
    points = points_of("five features")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels = make_pipeline(StandardScaler(), KMeans(3, random_state=0)).fit_predict(points)
    assert sorted(set(labels.tolist())) == [0, 1, 2]


def pictures():
    rng = np.random.default_rng(6)
    return [rng.integers(low, low + 80, (20, 30, 3), dtype=np.uint8) for low in (0, 90, 170)]


def test_a_quantizer_gives_what_the_functions_give():
    image = pictures()[0]
    quantizer = ColorQuantizer(n_colors=8).fit(image)
    palette = fastkq.fit_palette(fastkq.color_histogram(image), 8)
    np.testing.assert_array_equal(quantizer.palette_, palette)
    labels = quantizer.transform(image)
    np.testing.assert_array_equal(labels, fastkq.remap(image, palette))
    np.testing.assert_array_equal(quantizer.inverse_transform(labels), palette[labels])
    np.testing.assert_array_equal(quantizer.fit_transform(image), labels)


def test_partial_fits_add_up_in_any_order():
    images = pictures()
    forward, backward = ColorQuantizer(12), ColorQuantizer(12)
    for image in images:
        forward.partial_fit(image)
    for image in images[::-1]:
        backward.partial_fit(image)
    together = ColorQuantizer(12).fit(np.concatenate(images))
    np.testing.assert_array_equal(forward.palette_, backward.palette_)
    np.testing.assert_array_equal(forward.palette_, together.palette_)
    forward.fit(images[0])
    np.testing.assert_array_equal(forward.palette_, ColorQuantizer(12).fit(images[0]).palette_)


def test_a_quantizer_that_was_not_fitted_says_so():
    quantizer = ColorQuantizer(4)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        quantizer.transform(pictures()[0])
    assert quantizer.set_params(n_colors=3).get_params()["n_colors"] == 3
