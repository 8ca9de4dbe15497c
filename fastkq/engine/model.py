"""What is asked of a fit, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fastkq.types import MAX_COLORS, Array, UInt8Array

INITS = ("wu", "k-means++", "random")
EFFORTS = ("fast", "balanced", "best")
# Where K-means stops, for each color: after 7 to 31 iterations on a photo, within 1.4 % of where it
# would end. Steps for few colors are cheap, so they may go on for longer.
TOL_PER_COLOR = 1e-5
DEFAULT_MAX_ITER = 300
CUBE_BITS = 3  # of a Morton code: cubes of 2x2x2 colors
NONE_LOCKED = np.empty((0, 4), np.uint8)


@dataclass(frozen=True, eq=False)
class FitOptions:
    """Checked options of K-means; for their meaning, see `fastkq.quantize`.

    Attributes
    ----------
    init : str or (n_colors, 3) float32, or (n_colors, 4)
    tol : float or None: by the number of colors
    locked : (L, 4) uint8
    """

    n_colors: int = MAX_COLORS
    effort: str = "balanced"
    color_space: str = "srgb"
    init: str | Array = "wu"
    max_iter: int = DEFAULT_MAX_ITER
    tol: float | None = None
    random_state: int = 0
    locked: UInt8Array = field(default_factory=lambda: NONE_LOCKED)
    protect: bool = False

    @property
    def final_tol(self) -> float:
        """Where K-means stops."""
        return TOL_PER_COLOR * self.n_colors if self.tol is None else self.tol


@dataclass(frozen=True, eq=False)
class Fit:
    """A palette, and which of its entries the opaque colors of an image are nearest to.

    Translucent pixels are labeled by their own values (`paint`), fully transparent ones by the
    entry that is most transparent.

    Attributes
    ----------
    palette : (K, 3) uint8, or (K, 4) where an entry is not opaque or the image is not
    labels : (U,) uint8
        Of the opaque colors, by `codes`; or of all cubes of 2x2x2 colors, where `codes` is None.
    codes : (U,) uint32, ascending Morton codes of those colors; or None
    inertia : float, over all pixels that were counted, in sRGB
    opaque_inertia : float, over the opaque ones among them
    n_iter : int
    space : str
        Where distances were measured, and the nearest entry of a translucent pixel is looked for.
    hidden : HiddenEntries or None
    """

    palette: UInt8Array
    labels: UInt8Array
    codes: NDArray[np.uint32] | None
    inertia: float
    opaque_inertia: float
    n_iter: int
    space: str = "srgb"
    hidden: HiddenEntries | None = None


@dataclass(frozen=True, eq=False)
class HiddenEntries:
    """What a palette has for the colors under an alpha of 0, which `transparent` asks for.

    Attributes
    ----------
    visible : Fit
        Of the image, with one transparent entry.
    colors : Fit
        Of the colors under an alpha of 0, as if they were opaque. Its entries stand in the place of
        the transparent one.
    first : int, the number of that entry
    """

    visible: Fit
    colors: Fit
    first: int
