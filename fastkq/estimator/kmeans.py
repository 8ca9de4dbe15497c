"""K-means as an estimator of scikit-learn, in the place of `sklearn.cluster.KMeans`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastkq.engine import seeding
from fastkq.engine.dense import check_init
from fastkq.engine.lloyd import lloyd
from fastkq.engine.model import DEFAULT_MAX_ITER
from fastkq.engine.opaque import RELAXATION
from fastkq.engine.strict import Clustering, PixelSamples, Samples, strict_lloyd
from fastkq.types import MAX_LEVEL, Array, UInt8Array
from fastkq.validate import check_flag, check_integer, check_number

LLOYD, RELAXED = ALGORITHMS = ("lloyd", "relaxed")
FLOATS = [np.float64, np.float32]
# From so many pixels on, counting their colors first takes less time than it saves.
LEAST_PIXELS = 1 << 14
LOOK = 1 << 10  # samples that tell quickly that data are no pixels

Init: TypeAlias = "str | ArrayLike | Callable[..., Any]"


class KMeans(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):
    """K-means with the parameters, the attributes and the results of `sklearn.cluster.KMeans`.

    With the same `init` array and `algorithm="lloyd"`, each iteration has the labels, centers and
    inertia of scikit-learn's, up to the rounding of floats. Of centers that are equally near, the
    first is taken, where rounding decides there; and the result is the same on any number of
    threads. Pixels, samples of three 8-bit levels or of such levels divided by 255, are compared by
    distinct colors, which is where most of the time is saved.

    Parameters
    ----------
    n_clusters : int
        1 to the number of samples.
    init : {"k-means++", "random"}, (n_clusters, n_features) array_like or callable
        Greedy k-means++ (Arthur and Vassilvitskii 2007); random distinct samples; these centers; or
        what `init(X, n_clusters, random_state=random_state)` returns.
    n_init : "auto" or int
        Run so often from other centers and keep the least inertia; "auto" is 10 for "random" and a
        callable, else 1.
    max_iter : int
        At most so many iterations of a run.
    tol : float
        A run ends when the squared shifts of all centers add up to at most `tol` times the mean
        variance of the features, or when no label changes.
    verbose : bool or int
        Whether each iteration prints its inertia.
    random_state : int, numpy.random.RandomState or None
        The seed of the initial centers. Their draws are not those of scikit-learn.
    copy_x : bool
        Without effect: the data are never changed.
    algorithm : {"lloyd", "relaxed"}
        "relaxed" goes 1.8 times the way to the means of the clusters, which needs about half the
        iterations and ends in another, on average equally good, optimum. scikit-learn's "elkan"
        gives the result of "lloyd".

    Attributes
    ----------
    cluster_centers_ : (n_clusters, n_features), float32 or float64 as the data
    labels_ : (n_samples,) int32
    inertia_ : float, the sum of weight * squared distance to the own center
    n_iter_ : int, of the run that was kept
    n_features_in_ : int
    feature_names_in_ : (n_features,) of str, where the data have such names

    Examples
    --------
    >>> from fastkq.estimator import KMeans
    >>> model = KMeans(n_clusters=2, random_state=0).fit([[0.0], [1.0], [10.0], [12.0]])
    >>> sorted(model.cluster_centers_.ravel().tolist()), model.inertia_
    ([0.5, 11.0], 2.5)
    >>> bool(model.predict([[2.0]])[0] == model.labels_[0])
    True
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Init = "k-means++",
        n_init: int | str = "auto",
        max_iter: int = DEFAULT_MAX_ITER,
        tol: float = 1e-4,
        verbose: bool | int = 0,
        random_state: int | np.random.RandomState | None = None,
        copy_x: bool = True,
        algorithm: str = LLOYD,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state
        self.copy_x = copy_x
        self.algorithm = algorithm

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Cluster samples.

        Parameters
        ----------
        X : (n_samples, n_features) array_like of finite real numbers
            float32 stays float32; all else is computed in float64.
        y : ignored
        sample_weight : (n_samples,) array_like, optional
            How much each sample counts, 0 or more. Default: 1 each.

        Raises
        ------
        ValueError, TypeError
            What is not such data, or a parameter out of its range.
        """
        n_init = self._check_parameters()
        data = _take(self, X, reset=True)
        if len(data) < self.n_clusters:
            raise ValueError(f"n_samples={len(data)} should be >= n_clusters={self.n_clusters}")
        samples = _as_samples(data, sample_weight)
        random_state = check_random_state(self.random_state)
        best: Clustering | None = None
        for _ in range(n_init):
            centers = self._seed(data, samples, random_state)
            found = self._run(samples, centers)
            if best is None or (found.inertia < best.inertia and not _same(found, best)):
                best = found
        assert best is not None  # noqa: S101 - n_init is at least 1
        n_distinct = len(np.unique(best.labels))
        if n_distinct < self.n_clusters:
            warnings.warn(
                f"Number of distinct clusters ({n_distinct}) found smaller than n_clusters "
                f"({self.n_clusters}). Possibly due to duplicate points in X.",
                ConvergenceWarning,
                stacklevel=2,
            )
        self.cluster_centers_ = best.centers
        self.labels_ = samples.spread(best.labels)
        self.inertia_ = best.inertia
        self.n_iter_ = best.n_iter
        self._n_features_out = len(best.centers)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:
        """Return the nearest center of each sample, (n_samples,) int32; ties to the lowest."""
        check_is_fitted(self)
        return self._assign(X)[0]

    def fit_predict(
        self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None
    ) -> NDArray[np.int32]:
        """Cluster samples and return their labels, (n_samples,) int32."""
        return self.fit(X, sample_weight=sample_weight).labels_

    def transform(self, X: ArrayLike) -> Array:
        """Return the distances to all centers, (n_samples, n_clusters)."""
        check_is_fitted(self)
        data = validate_data(self, X, dtype=FLOATS, reset=False)
        return np.asarray(euclidean_distances(data, self.cluster_centers_))

    def fit_transform(
        self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None
    ) -> Array:
        """Cluster samples and return their distances to all centers."""
        return self.fit(X, sample_weight=sample_weight).transform(X)

    def score(
        self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return minus the inertia of samples."""
        check_is_fitted(self)
        _, distances = self._assign(X)
        weights = _check_sample_weight(sample_weight, distances, dtype=np.float64)
        return -float(np.sum(weights * distances))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _check_parameters(self) -> int:
        """Check what does not depend on the data; return the number of runs."""
        check_integer(self.n_clusters, "n_clusters", 1)
        check_integer(self.max_iter, "max_iter", 1)
        check_number(self.tol, "tol", 0)
        if not isinstance(self.copy_x, np.bool_):
            check_flag(self.copy_x, "copy_x")
        if self.algorithm not in ALGORITHMS:
            raise ValueError(
                f"algorithm is {self.algorithm!r}; one of {ALGORITHMS} is allowed, and 'elkan' "
                "gives what 'lloyd' gives"
            )
        is_random = callable(self.init) or (isinstance(self.init, str) and self.init == "random")
        if isinstance(self.init, str) and self.init not in ("k-means++", "random"):
            raise ValueError(
                f"init is {self.init!r}; 'k-means++', 'random', an array of centers or a callable "
                "is allowed"
            )
        if isinstance(self.n_init, str):
            if self.n_init != "auto":
                raise ValueError(f"n_init is {self.n_init!r}; 'auto' or an integer is allowed")
            return 10 if is_random else 1
        n_init = check_integer(self.n_init, "n_init", 1)
        if n_init > 1 and not isinstance(self.init, str) and not callable(self.init):
            warnings.warn(
                f"init is an array, so that all of n_init={n_init} runs were equal: one is done",
                RuntimeWarning,
                stacklevel=3,
            )
            return 1
        return n_init

    def _seed(self, data: Array, samples: Samples, random_state: np.random.RandomState) -> Array:
        """Return the initial centers."""
        points, weights = samples.distinct.points, samples.distinct.weights
        if isinstance(self.init, str):
            choose = seeding.kmeans_plus_plus
            if self.init == "random":
                choose = seeding.random_points
            if not weights.any():
                weights = np.ones_like(weights)
            # By value, so that neither their order nor a weight instead of equal samples matters.
            order = np.lexsort(points.T[::-1])
            points, weights = points[order], weights[order]
            centers = choose(points, weights, self.n_clusters, random_state)
            missing = self.n_clusters - len(centers)  # of fewer distinct samples
            return np.concatenate([centers, np.repeat(centers[:1], missing, axis=0)])
        given = self.init
        if callable(given):
            given = given(data, self.n_clusters, random_state=random_state)
        return check_init(given, self.n_clusters, points.shape[1]).astype(points.dtype)

    def _run(self, samples: Samples, centers: Array) -> Clustering:
        """Do one run from initial centers."""
        if self.verbose:
            print("Initialization complete", file=sys.stdout)
        if self.algorithm == LLOYD:
            notify = _print_inertia if self.verbose else None
            return strict_lloyd(
                samples, centers, max_iter=self.max_iter, tol=self.tol, notify=notify
            )
        points = samples.distinct
        centers, n_iter = lloyd(
            points, centers, max_iter=self.max_iter, tol=self.tol, relaxation=RELAXATION
        )
        labels, distances = points.assign(centers)
        return Clustering(centers, labels, float(np.sum(points.weights * distances)), n_iter)

    def _assign(self, X: ArrayLike) -> tuple[NDArray[np.int32], Array]:
        """Return the labels and squared distances of samples."""
        data = _take(self, X, reset=False)
        centers = self.cluster_centers_
        samples = _as_samples(data, None, centers.dtype)
        labels, distances = samples.distinct.assign(centers)
        if isinstance(samples, PixelSamples):
            numbers = samples.spread(np.arange(len(labels), dtype=np.int32))
            return labels[numbers], distances[numbers]
        return labels, distances


def _take(estimator: KMeans, X: ArrayLike, *, reset: bool) -> Array:
    """Return checked data: 8-bit pixels as they are, all else as float32 or float64."""
    dtype: Any = np.uint8 if getattr(X, "dtype", None) == np.uint8 else FLOATS
    return np.asarray(validate_data(estimator, X, dtype=dtype, order="C", reset=reset))


def _as_samples(
    data: Array, sample_weight: ArrayLike | None, dtype: np.dtype[Any] | None = None
) -> Samples:
    """Return data as pixels where they are, or as they are."""
    if dtype is None:
        dtype = np.dtype(np.float64) if data.dtype == np.uint8 else data.dtype
    if sample_weight is None and data.shape[1] == 3 and len(data) >= LEAST_PIXELS:
        for scale in (1, MAX_LEVEL):
            pixels = _as_pixels(data, scale)
            if pixels is not None:
                return PixelSamples(pixels, scale, dtype)
    rows = np.ascontiguousarray(data, dtype)
    return Samples(rows, _check_sample_weight(sample_weight, rows, dtype=np.float64))


def _as_pixels(data: Array, scale: int) -> UInt8Array | None:
    """Return the levels of samples that are 8-bit levels divided by `scale`, or None."""
    if data.dtype == np.uint8:
        return data
    for part in (data[:LOOK], data):
        levels = np.rint(part * scale)
        if levels.min() < 0 or levels.max() > MAX_LEVEL or not np.array_equal(levels / scale, part):
            return None
    return np.asarray(levels, np.uint8)


def _same(one: Clustering, other: Clustering) -> bool:
    """Return whether two clusterings differ by the names of the clusters only."""
    pairs = one.labels.astype(np.int64) * len(other.centers) + other.labels
    return len(np.unique(pairs)) == len(np.unique(one.labels))


def _print_inertia(iteration: int, inertia: float) -> None:
    print(f"Iteration {iteration}, inertia {inertia}.", file=sys.stdout)
