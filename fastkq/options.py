"""The options of `quantize` and of all that ends in it: their defaults, and what is allowed."""

from __future__ import annotations

import numbers
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from fastkq.colors.spaces import COLOR_SPACES
from fastkq.engine.dense import check_init
from fastkq.engine.locked import check_locked
from fastkq.engine.model import DEFAULT_MAX_ITER, EFFORTS, INITS, FitOptions
from fastkq.engine.search import Target, check_target
from fastkq.files.formats import OXIPNG, PNG, Output, format_of
from fastkq.files.palettes import check_palette, parse_hex
from fastkq.paint.dither import Dithering
from fastkq.types import MAX_COLORS, MAX_LEVEL, Array, QualityRange, UInt8Array
from fastkq.validate import check_flag, check_integer, check_number

# How lossy a file is where nothing is said: then each of 35 test pictures looked closer to its
# original than pngquant's of 256 colors does, by SSIMULACRA 2, in fewer bytes.
FILE_LOSSY = 20.0
# Which color lies under an alpha of 0: none, the source's own, or that of visible neighbours.
BLACK, KEEP, BLEED = TRANSPARENT = ("black", "keep", "bleed")


class ImageKeywords(TypedDict, total=False):
    """Options that one image and many have in common; see `quantize` and `compress`."""

    effort: str
    color_space: str
    locked: ArrayLike | None
    protect: bool
    masking: bool
    paper: bool
    dither: str
    dither_strength: float
    lossy: float
    quality: QualityRange | None
    max_mse: float | None
    min_psnr: float | None
    max_bytes: int | None
    optimize: bool | str
    background: str | ArrayLike | None
    transparent: str
    score: bool
    min_score: float | None
    frame: int | None
    frame_palettes: bool


class JobKeywords(ImageKeywords, total=False):
    """Options that are the same for all images of a run; see `compress_many`."""

    format: str | None


class HistogramKeywords(TypedDict, total=False):
    """Options of `fit_palette` for histograms; see `quantize`."""

    effort: str
    color_space: str
    init: str | ArrayLike
    max_iter: int
    tol: float | None
    random_state: int | np.random.Generator | None
    locked: ArrayLike | None


class FitKeywords(HistogramKeywords, total=False):
    """Options of `fit_palette` for images; see `quantize`."""

    weights: ArrayLike | None
    protect: bool
    masking: bool
    paper: bool
    frame: int | None


class QuantizeKeywords(ImageKeywords, total=False):
    """Options of `compress` beside its own; see `quantize`."""

    init: str | ArrayLike
    max_iter: int
    tol: float | None
    random_state: int | np.random.Generator | None
    weights: ArrayLike | None


@dataclass(frozen=True, eq=False)
class Options:
    """Checked options, those of each stage together.

    Attributes
    ----------
    fit : FitOptions
    weights : (H, W) array_like, or None: all pixels count alike
    palette : (K, 3) or (K, 4) uint8, or None: it is fitted
    dithering : Dithering
    target : Target or None: as many colors as `fit.n_colors`
    output : Output
    background : (3,) uint8, or None: alpha is kept
    transparent : str, which color lies under an alpha of 0
    masking : bool, whether pixels and colors count for the palette by what is seen of them
    paper : bool, whether the paper of a scan gets one color
    score : bool, whether the result is scored by SSIMULACRA 2
    min_score : float, the lowest score that labels by cost may have, or None
    frame : int, the frame of an animation that is wanted, or None: all, where that can be
    frame_palettes : bool, whether each frame of an animation gets a palette of its own
    is_clearest : bool, whether labels are as lossy as the target's `max_bytes` needs
    """

    fit: FitOptions
    weights: ArrayLike | None
    palette: UInt8Array | None
    dithering: Dithering
    target: Target | None
    output: Output
    background: UInt8Array | None = None
    transparent: str = BLACK
    masking: bool = False
    paper: bool = False
    score: bool = False
    min_score: float | None = None
    frame: int | None = None
    frame_palettes: bool = False
    is_clearest: bool = False

    @property
    def needs_places(self) -> bool:
        """Whether it matters where in the image a color is."""
        return self.weights is not None or self.fit.protect or self.masking

    def with_lossy(self, lossy: float) -> Options:
        """Return options that are so lossy."""
        return replace(self, dithering=replace(self.dithering, lossy=lossy))

    def describe(self) -> str:
        """Return what decides over the bytes of an output, of the options of a run."""
        fit = self.fit
        if self.palette is None:
            parts = [f"{fit.n_colors} colors", fit.effort, fit.color_space]
            if len(fit.locked):
                parts.append(f"locked {zlib.crc32(fit.locked.tobytes()):08x}")
            kinds = {"protect": fit.protect, "masking": self.masking}
            parts += [name for name, is_given in kinds.items() if is_given]
        else:
            parts = [f"palette {zlib.crc32(self.palette.tobytes()):08x}"]
        if self.dithering:
            parts.append(str(self.dithering))
        if self.target is not None:
            parts.append(self.target.name)
        if self.output.optimize:
            parts.append(OXIPNG if self.output.optimize == OXIPNG else "optimize")
        if self.output.format != PNG:
            parts.append(self.output.format)
        parts += self._describe_look()
        return ", ".join(parts)

    def _describe_look(self) -> list[str]:
        parts = []
        if self.background is not None:
            parts.append(f"background {self.background.tobytes().hex()}")
        if self.transparent != BLACK:
            parts.append(f"transparent {self.transparent}")
        if self.paper:
            parts.append("paper")
        if self.min_score is not None:
            parts.append(f"min_score {self.min_score:g}")
        if self.is_clearest:
            parts.append("clearest")
        if self.frame is not None:
            parts.append(f"frame {self.frame}")
        if self.frame_palettes:
            parts.append("frame palettes")
        return parts


def check_options(
    n_colors: int = MAX_COLORS,
    *,
    effort: str = "balanced",
    color_space: str = "srgb",
    init: str | ArrayLike = "wu",
    max_iter: int = DEFAULT_MAX_ITER,
    tol: float | None = None,
    random_state: int | np.random.Generator | None = 0,
    weights: ArrayLike | None = None,
    locked: ArrayLike | None = None,
    protect: bool = False,
    masking: bool = False,
    paper: bool = False,
    palette: ArrayLike | str | os.PathLike[str] | None = None,
    dither: str = "none",
    dither_strength: float = 1.0,
    lossy: float | None = 0,
    quality: QualityRange | None = None,
    max_mse: float | None = None,
    min_psnr: float | None = None,
    max_bytes: int | None = None,
    optimize: bool | str = False,
    format: str | None = PNG,
    background: str | ArrayLike | None = None,
    transparent: str = BLACK,
    score: bool = False,
    min_score: float | None = None,
    frame: int | None = None,
    frame_palettes: bool = False,
) -> Options:
    """Return the options, if they are allowed.

    A `lossy` of None is as much as `max_bytes` needs.

    Raises
    ------
    ValueError, TypeError, OSError
        One is not, or two exclude each other; the message says what is allowed.
    """
    n_colors = check_integer(n_colors, "n_colors", 1, MAX_COLORS)
    if effort not in EFFORTS:
        raise ValueError(f"effort is {effort!r}; one of {EFFORTS} is allowed")
    if color_space not in COLOR_SPACES:
        raise ValueError(f"color_space is {color_space!r}; one of {COLOR_SPACES} is allowed")
    check_flag(protect, "protect")
    check_flag(masking, "masking")
    check_flag(paper, "paper")
    check_flag(score, "score")
    check_flag(frame_palettes, "frame_palettes")
    if transparent not in TRANSPARENT:
        raise ValueError(f"transparent is {transparent!r}; one of {TRANSPARENT} is allowed")
    format = PNG if format is None else format
    target = check_target(quality=quality, max_mse=max_mse, min_psnr=min_psnr, max_bytes=max_bytes)
    options = Options(
        fit=FitOptions(
            n_colors=n_colors,
            effort=effort,
            color_space=color_space,
            init=_check_init(init, n_colors),
            max_iter=check_integer(max_iter, "max_iter", 0),
            tol=None if tol is None else check_number(tol, "tol", 0),
            random_state=_draw_seed(random_state),
            locked=check_locked(locked, n_colors),
            protect=protect,
        ),
        weights=weights,
        palette=None if palette is None else check_palette(palette),
        dithering=Dithering(
            dither, dither_strength, FILE_LOSSY if lossy is None else lossy, format
        ),
        target=target,
        output=Output(format, optimize),
        background=None if background is None else check_color(background, "background"),
        transparent=transparent,
        masking=masking,
        paper=paper,
        score=score,
        min_score=None if min_score is None else check_number(min_score, "min_score", 0, 100),
        frame=None if frame is None else check_integer(frame, "frame", 0),
        frame_palettes=frame_palettes,
        is_clearest=lossy is None,
    )
    _check_together(options)
    return options


def for_format(options: Options, path: str) -> Options:
    """Return options for a target, whose suffix tells its format."""
    name = format_of(path)
    if name == options.output.format:
        return options
    output, dithering = options.output, options.dithering
    return replace(
        options,
        output=replace(output, format=name),
        dithering=replace(dithering, format=name),
    )


def choose_look(
    options: Mapping[str, Any], palette: ArrayLike | str | os.PathLike[str] | None = None
) -> dict[str, Any]:
    """Return the keywords of a file's options, with what decides over its look filled in.

    `quantize` is the plain textbook where nothing is said: K-means in sRGB, each pixel its nearest
    entry. A file gets what looks best for its bytes: Oklab, and labels by cost. Whoever asks for
    "fast", for a dithering, a score or a palette of their own gets that, and nothing beside it;
    with `max_bytes`, the file is as lossy as that needs.

    Examples
    --------
    >>> choose_look({"protect": True})
    {'protect': True, 'color_space': 'oklab', 'lossy': 20.0}
    >>> choose_look({"dither": "ordered", "effort": "fast"})
    {'dither': 'ordered', 'effort': 'fast'}
    """
    chosen = dict(options)
    if chosen.get("effort") != "fast":
        chosen.setdefault("color_space", "oklab")
    is_said = "dither" in chosen or chosen.get("min_score") is not None
    if palette is None and not is_said:
        is_bound = chosen.get("max_bytes") is not None
        chosen.setdefault("lossy", None if is_bound else FILE_LOSSY)
    return chosen


def check_color(color: str | ArrayLike, name: str) -> UInt8Array:
    """Return an opaque color "#rrggbb" or (3,) as an array (3,) uint8.

    Examples
    --------
    >>> check_color("#ff8000", "background").tolist()
    [255, 128, 0]
    """
    allowed = "a color such as '#ffffff', or three integers from 0 to 255, is allowed"
    if isinstance(color, str):
        levels = parse_hex(color)
        if levels is None or len(levels) != 3:
            raise ValueError(f"{name} is {color!r}; {allowed}")
        return np.array(levels, np.uint8)
    given = np.asarray(color)
    if given.dtype.kind not in "iu":
        raise TypeError(f"{name} has dtype {given.dtype}; {allowed}")
    if given.shape != (3,) or given.min() < 0 or given.max() > MAX_LEVEL:
        raise ValueError(f"{name} is {given.tolist()}; {allowed}")
    return given.astype(np.uint8)


def _draw_seed(random_state: object) -> int:
    """Return a seed that makes all trials of a search start alike.

    A generator gives its next number, so that a call depends on its state and changes it once.
    """
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(1 << 63))
    if random_state is None:
        return int(np.random.default_rng().integers(1 << 63))
    allowed = "an integer >= 0, a numpy.random.Generator or None is allowed"
    if not isinstance(random_state, numbers.Integral) or isinstance(random_state, bool):
        raise TypeError(f"random_state is {random_state!r}; {allowed}")
    if random_state < 0:
        raise ValueError(f"random_state is {random_state}; {allowed}")
    return int(random_state)


def _check_init(init: str | ArrayLike, n_colors: int) -> str | Array:
    if isinstance(init, str):
        if init not in INITS:
            raise ValueError(f"init is {init!r}; one of {INITS} or an array of centers is allowed")
        return init
    n_channels = 4 if np.ndim(init) == 2 and np.shape(init)[1] == 4 else 3
    centers = check_init(init, n_colors, n_channels).astype(np.float32)
    if centers.min() < 0 or centers.max() > MAX_LEVEL:
        raise ValueError(
            f"init has values from {centers.min():g} to {centers.max():g}; colors from 0 to "
            f"{MAX_LEVEL} are allowed"
        )
    return centers


def _check_together(options: Options) -> None:
    """Refuse options that leave each other nothing to decide."""
    target = options.target
    if options.masking and options.weights is not None:
        raise ValueError("weights is given, and masking; one of the two is allowed")
    if options.min_score is not None:
        others = {
            "" if target is None else target.name: target is not None,
            "lossy": options.dithering.lossy > 0 and not options.is_clearest,
            "dither='ordered'": options.dithering.method == "ordered",
        }
        names = [name for name, is_given in others.items() if is_given]
        if names:
            raise ValueError(f"min_score is given, and {names[0]}; one of the two is allowed")
    if options.palette is not None:
        given = {
            "weights": options.weights is not None,
            "locked": len(options.fit.locked) > 0,
            "protect": options.fit.protect,
            "masking": options.masking,
            "" if target is None else target.name: target is not None,
        }
        names = [name for name, is_given in given.items() if is_given]
        if names:
            raise ValueError(
                f"palette is given, and {' and '.join(names)}; only palettes that are fitted take "
                "that"
            )
    if target is not None and not isinstance(options.fit.init, str):
        raise ValueError(
            f"init is an array of {options.fit.n_colors} centers; with {target.name} the number is "
            f"searched for, and one of {INITS} is allowed"
        )
