"""The options of `quantize` and of all that ends in it: their defaults, and what is allowed."""

from __future__ import annotations

import numbers
import os
import zlib
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike

from fastkq.colors.spaces import COLOR_SPACES
from fastkq.defaults import FILE_LOSSY
from fastkq.engine.dense import check_init
from fastkq.engine.locked import check_locked
from fastkq.engine.model import DEFAULT_MAX_ITER, EFFORTS, INITS, FitOptions
from fastkq.engine.search import Target, check_target
from fastkq.files.formats import GIF, NO_PLACE, PNG, Output
from fastkq.files.palettes import check_palette, parse_hex
from fastkq.files.reading import DEFAULT, NO_METADATA, ReadOptions
from fastkq.files.write import PLAIN, Safety
from fastkq.paint.dither import Dithering
from fastkq.types import MAX_COLORS, MAX_LEVEL, Array, QualityRange, UInt8Array
from fastkq.validate import check_flag, check_integer, check_number

# Which color lies under an alpha of 0: none, the source's own, or that of visible neighbours.
BLACK, KEEP, BLEED = TRANSPARENT = ("black", "keep", "bleed")


class ReadKeywords(TypedDict, total=False):
    """How files are read; see `quantize`."""

    max_pixels: int | None
    allow_truncated: bool
    page: int | str | None
    icc: str
    metadata: str
    frame: int | None


class ImageKeywords(ReadKeywords, total=False):
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
    bit_depth: int | None
    background: str | ArrayLike | None
    transparent: str
    score: bool
    min_score: float | None
    frame_palettes: bool
    durable: bool
    verify: bool
    preserve: bool


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


class FitKeywords(HistogramKeywords, ReadKeywords, total=False):
    """Options of `fit_palette` for images; see `quantize`."""

    weights: ArrayLike | None
    protect: bool
    masking: bool
    paper: bool


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
    palette_is_srgb : bool, whether its colors are sRGB, or else the image's own values
    dithering : Dithering
    target : Target or None: as many colors as `fit.n_colors`
    output : Output
    background : (3,) uint8, or None: alpha is kept
    transparent : str, which color lies under an alpha of 0
    masking : bool, whether pixels and colors count for the palette by what is seen of them
    is_masking_said : bool, whether that was asked for, and is no default of files
    paper : bool, whether the paper of a scan gets one color
    score : bool, whether the result is scored by SSIMULACRA 2
    min_score : float, the lowest score that labels by cost may have, or None
    frame_palettes : bool, whether each frame of an animation gets a palette of its own
    reading : ReadOptions, how files are read
    safety : Safety, what is done for an output beyond its renaming in one step
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
    is_masking_said: bool = True
    paper: bool = False
    score: bool = False
    min_score: float | None = None
    frame_palettes: bool = False
    reading: ReadOptions = DEFAULT
    palette_is_srgb: bool = False
    safety: Safety = PLAIN
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
        parts += self.output.describe() + self._describe_look()
        return ", ".join(parts + self.reading.describe())

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
    masking: bool | None = False,
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
    bit_depth: int | None = None,
    background: str | ArrayLike | None = None,
    transparent: str = BLACK,
    score: bool = False,
    min_score: float | None = None,
    frame: int | None = None,
    frame_palettes: bool = False,
    page: int | str | None = None,
    icc: str = DEFAULT.icc,
    metadata: str = NO_METADATA,
    max_pixels: int | None = None,
    allow_truncated: bool = False,
    durable: bool = False,
    verify: bool = False,
    preserve: bool = False,
) -> Options:
    """Return the options, if they are allowed.

    A `lossy` of None is as much as `max_bytes` needs; `masking` of None is for
    pictures, and not for animations.

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
    shown_lossy = FILE_LOSSY if lossy is None else lossy
    flags = {"durable": durable, "verify": verify, "preserve": preserve}
    is_masking_said, masking = masking is not None, masking is None or masking
    others = {"protect": protect, "masking": masking, "paper": paper, "score": score}
    others["frame_palettes"] = frame_palettes
    for name, flag in (flags | others).items():
        check_flag(flag, name)
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
        palette_is_srgb=isinstance(palette, (str, os.PathLike)),
        dithering=Dithering(dither, dither_strength, shown_lossy, format),
        target=target,
        output=Output(format, optimize, bit_depth),
        background=None if background is None else check_color(background, "background"),
        transparent=transparent,
        masking=masking,
        is_masking_said=is_masking_said,
        paper=paper,
        score=score,
        min_score=None if min_score is None else check_number(min_score, "min_score", 0, 100),
        frame_palettes=frame_palettes,
        safety=Safety(**flags),
        reading=ReadOptions(max_pixels, allow_truncated, page, icc, metadata, frame),
        is_clearest=lossy is None,
    )
    _check_together(options)
    return options


def for_format(options: Options, name: str) -> Options:
    """Return options for outputs of a format."""
    return replace(
        options,
        output=replace(options.output, format=name),
        dithering=replace(options.dithering, format=name),
    )


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
    if type(random_state) is int and random_state >= 0:
        return random_state  # first: to name NumPy's random module is to load it
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
    if options.reading.keeps_metadata and options.output.format == GIF:
        raise ValueError(NO_PLACE)
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
