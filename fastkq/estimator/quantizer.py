"""A palette for images, as an estimator of scikit-learn."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from fastkq.api import color_histogram, fit_palette, remap
from fastkq.colors.histogram import ColorHistogram
from fastkq.engine.model import DEFAULT_MAX_ITER
from fastkq.types import MAX_COLORS, ImageSource, UInt8Array


class ColorQuantizer(TransformerMixin, BaseEstimator):
    """A palette for images, as an estimator: fit to one image or many, then label any image.

    Parameters
    ----------
    n_colors : int
        1 to 256.
    effort, color_space, init, max_iter, tol, random_state, locked
        As in `fastkq.quantize`.
    dither, dither_strength
        Of `transform`, as in `fastkq.remap`.

    Attributes
    ----------
    histogram_ : ColorHistogram
        The colors of all images that were fitted, by their numbers of pixels.
    palette_ : (K, 3) uint8, or (K, 4) where an image has transparent pixels
        It is found when it is first asked for after a fit.

    Examples
    --------
    >>> from fastkq.estimator import ColorQuantizer
    >>> dark, light = np.full((2, 2, 3), 9, np.uint8), np.full((2, 2, 3), 200, np.uint8)
    >>> quantizer = ColorQuantizer(n_colors=2).partial_fit(dark).partial_fit(light)
    >>> quantizer.palette_.tolist()
    [[9, 9, 9], [200, 200, 200]]
    >>> quantizer.inverse_transform(quantizer.transform(light)).tolist() == light.tolist()
    True
    """

    def __init__(
        self,
        n_colors: int = MAX_COLORS,
        *,
        effort: str = "balanced",
        color_space: str = "srgb",
        init: str | ArrayLike = "wu",
        max_iter: int = DEFAULT_MAX_ITER,
        tol: float | None = None,
        random_state: int | None = 0,
        locked: ArrayLike | None = None,
        dither: str = "none",
        dither_strength: float = 1.0,
    ) -> None:
        self.n_colors = n_colors
        self.effort = effort
        self.color_space = color_space
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.locked = locked
        self.dither = dither
        self.dither_strength = dither_strength

    def fit(self, image: ImageSource, y: object = None) -> Self:
        """Count the colors of an image, and forget those of earlier ones.

        Parameters
        ----------
        image : what `fastkq.quantize` takes
        y : ignored
        """
        self.__dict__.pop("histogram_", None)
        return self.partial_fit(image)

    def partial_fit(self, image: ImageSource, y: object = None) -> Self:
        """Add the colors of an image to those that were counted before.

        The palette is that of all images side by side, in whatever order they come.
        """
        counted = color_histogram(image)
        before: ColorHistogram | None = self.__dict__.get("histogram_")
        self.histogram_ = counted if before is None else before + counted
        self._palette: UInt8Array | None = None
        return self

    @property
    def palette_(self) -> UInt8Array:
        """The palette of all images that were fitted."""
        check_is_fitted(self, "histogram_")
        if self._palette is None:
            self._palette = fit_palette(
                self.histogram_,
                self.n_colors,
                effort=self.effort,
                color_space=self.color_space,
                init=self.init,
                max_iter=self.max_iter,
                tol=self.tol,
                random_state=self.random_state,
                locked=self.locked,
            )
        return self._palette

    def transform(self, image: ImageSource) -> UInt8Array:
        """Return the row of the palette for each pixel of an image, (H, W) uint8."""
        return remap(image, self.palette_, dither=self.dither, dither_strength=self.dither_strength)

    def inverse_transform(self, labels: ArrayLike) -> UInt8Array:
        """Return the image (H, W, 3 or 4) uint8 of rows of the palette (H, W)."""
        return np.take(self.palette_, np.asarray(labels), axis=0)

    def __sklearn_is_fitted__(self) -> bool:
        return "histogram_" in self.__dict__
