"""What quantizing an image gives: the image of few colors, and the report on its file."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastkq import kernels
from fastkq.colors.metrics import psnr_from_mse
from fastkq.files import rows as blocks
from fastkq.files.attached import NOTHING, Attached
from fastkq.files.frames import Animation
from fastkq.files.write import PLAIN, Safety, check_output, open_target, write_file
from fastkq.types import MAX_COLORS, Array, PathOrFile, UInt8Array
from fastkq.validate import check_integer

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage


@dataclass(frozen=True, eq=False)
class QuantizeResult:
    """An image of few colors.

    Attributes
    ----------
    palette : (K, 3) uint8, or (K, 4) for an image with transparent pixels
    labels : (H, W) uint8
        Each pixel's nearest row of the palette, or another where the image is dithered.
    inertia : float
        Squared error to the palette, summed over channels and pixels; of an image with transparent
        pixels, the mean of that over black and over white.
    n_iter : int
        K-means iterations done; 0 where the image had no more colors than asked for.
    is_gray : bool
        Whether the image came as gray, (H, W) or with alpha (H, W, 2).
    n_ordered : int or None
        How many entries, the first, were given in an order that a file must keep; None: all.
    score : float or None
        By SSIMULACRA 2, if it was asked for: 100 looks as the original does; see `ssimulacra2`.
    attached : Attached
        What came with the image beside its pixels, which its file gets as well.
    """

    palette: UInt8Array
    labels: UInt8Array
    inertia: float
    n_iter: int
    is_gray: bool = False
    n_ordered: int | None = None
    score: float | None = None
    attached: Attached = NOTHING

    @property
    def icc_profile(self) -> bytes | None:
        """The RGB profile that the palette's values refer to, if the image came with one."""
        return self.attached.icc_profile

    @property
    def mse(self) -> float:
        """The squared error a pixel, summed over R, G and B (gray counts as R = G = B)."""
        return self.inertia / self.labels.size

    @property
    def psnr(self) -> float:
        """The peak signal-to-noise ratio in dB: 10 log10(3 * 255^2 / mse)."""
        return psnr_from_mse(self.mse)

    def to_array(self) -> UInt8Array:
        """Return the image with every pixel replaced by its centroid, in its original shape."""
        colors = self.palette
        if self.is_gray:
            colors = colors[:, 0] if colors.shape[1] == 3 else colors[:, [0, 3]]
        return np.take(colors, self.labels, axis=0)

    @property
    def shares(self) -> Array:
        """Which share of the pixels each entry of the palette has, (K,) float64."""
        counts = np.bincount(self.labels.reshape(-1), minlength=len(self.palette))
        return np.asarray(counts / self.labels.size)

    def __repr__(self) -> str:
        """Sizes, not contents."""
        height, width = self.labels.shape
        return f"QuantizeResult({width}x{height}, {len(self.palette)} colors, {self._quality()})"

    def _quality(self) -> str:
        return "lossless" if self.inertia == 0 else f"PSNR {self.psnr:.1f} dB"

    def to_pil(self) -> PillowImage:
        """Return the image as a Pillow image of mode "P": labels and palette, not converted.

        Transparency and color profile are where Pillow has those of a PNG: in its `info`.
        """
        from fastkq.files import display

        return display.indexed_image(self.labels, self.palette, self.icc_profile)

    def show_palette(self, *, size: int = 32, columns: int = 16) -> PillowImage:
        """Return a picture of the palette: a square for each entry, in order, row by row.

        Parameters
        ----------
        size : int
            Of a square, in pixels, 1 to 1024.
        columns : int
            Squares in a row, 1 to 256.
        """
        from fastkq.files import display

        size = check_integer(size, "size", 1, 1024)
        columns = check_integer(columns, "columns", 1, MAX_COLORS)
        return display.as_image(display.swatches(self.palette, size=size, columns=columns))

    def _repr_png_(self) -> bytes:
        """Return what IPython shows: a PNG of at most 1024 pixels a side."""
        from fastkq.files import display

        return display.picture(self.to_array())

    def _repr_html_(self) -> str:
        """Return what notebooks show: the picture, its palette by shares, and numbers."""
        from fastkq.files import display

        height, width = self.labels.shape
        numbers = {
            "size": f"{width} x {height}",
            "colors": str(len(self.palette)),
            "error": self._quality(),
            "iterations": str(self.n_iter),
        }
        if self.score is not None:
            numbers["SSIMULACRA 2"] = f"{self.score:.1f}"
        return display.to_html(self._repr_png_(), self.palette, self.shares, numbers)

    def encode(
        self,
        format: str = "png",
        *,
        optimize: bool | str = False,
        bit_depth: int | None = None,
    ) -> bytes:
        """Return the image as a file.

        Parameters
        ----------
        format : {"png", "webp", "gif"}
            An indexed PNG of 1, 2, 4 or 8 bits a pixel; a lossless WebP, which has the colors
            instead of indices, and all of them exactly; a GIF, which has no translucent colors,
            nor a color profile: its colors are converted to sRGB.
        optimize : bool or "oxipng"
            Take several times as long for a smaller file of the same pixels, whose palette may be
            in another order; not for a GIF, nor for a PNG of over 67 MP. "oxipng" lets that
            program go on with a PNG, for dozens of times as long: needs `fastkq[oxipng]`.
        bit_depth : 8 or None
            Of an index in a PNG: 8 for readers that want it, or as few bits as number the palette.

        Raises
        ------
        ValueError, TypeError
            The format is unknown or cannot hold the image, or an option is not allowed.
        """
        from fastkq.files import formats

        output = formats.Output(format, optimize, bit_depth)
        formats.check_shape(self.labels.shape, output.format)
        if output.format == formats.PNG and self.labels.size > blocks.LARGE_PIXELS:
            buffer = io.BytesIO()
            self._write_rows(buffer, bit_depth)
            return buffer.getvalue()
        return formats.encode(
            self.labels,
            self.palette,
            output.format,
            attached=self.attached,
            optimize=output.optimize,
            n_kept=self.n_ordered,
            bit_depth=output.bit_depth,
        )

    def save(
        self,
        target: PathOrFile,
        *,
        format: str | None = None,
        optimize: bool | str = False,
        bit_depth: int | None = None,
    ) -> int:
        """Write the image as a file; return its bytes.

        Parameters
        ----------
        target : path ending in .png, .webp or .gif, or binary file object
            An existing file is replaced, in one step.
        format : {"png", "webp", "gif"}, optional
            Of a file object, by default "png"; a path's suffix tells its own.
        optimize, bit_depth
            As in `encode`.

        Raises
        ------
        ValueError, TypeError, OSError
            As `encode`; or the target cannot be written.
        """
        from fastkq.files import formats

        name = format_for(target, format)
        if isinstance(target, (str, os.PathLike)):
            target = check_output(target)
        if name == formats.PNG and self.labels.size > blocks.LARGE_PIXELS:
            formats.Output(name, optimize, bit_depth)
            formats.check_shape(self.labels.shape, name)
            return self._write_rows(target, bit_depth)
        data = self.encode(name, optimize=optimize, bit_depth=bit_depth)
        write_file(target, data)
        return len(data)

    def _write_rows(self, target: PathOrFile, bit_depth: int | None) -> int:
        height, width = self.labels.shape
        return write_blocks(
            target, (height, width), [self.labels], self.palette, self.attached, bit_depth
        )


@dataclass(frozen=True)
class CompressReport:
    """What `compress` did.

    Attributes
    ----------
    source, target : str
    source_bytes, target_bytes : int
        Of an array or PIL image, the bytes of its pixels. If nothing was written, `target_bytes`
        are those that the target would have had.
    width, height : int, in pixels, as the image is meant to be seen
    n_colors : int, of the palette
    mse : float, squared error a pixel, summed over channels
    psnr : float, in dB
    n_iter : int
    seconds : float, from opening the source to the finished target
    written : bool
        Whether the target was written; not where it would be no smaller than its source file.
    score : float or None, by SSIMULACRA 2, if it was asked for; of an animation, the frames' mean
    n_frames : int
        Of an animation, those that were written: equal ones that follow each other are one. All
        errors are those of all its frames.
    """

    source: str
    target: str
    source_bytes: int
    target_bytes: int
    width: int
    height: int
    n_colors: int
    mse: float
    psnr: float
    n_iter: int
    seconds: float
    written: bool = True
    score: float | None = None
    n_frames: int = 1

    @property
    def saving(self) -> float:
        """The share of the source's bytes that is saved; negative where the result is larger."""
        return 1 - self.target_bytes / self.source_bytes


@dataclass(frozen=True, eq=False)
class Written:
    """What became of an image that was compressed.

    Attributes
    ----------
    palette : (K, 3) or (K, 4) uint8
    inertia : float
    n_iter : int
    n_bytes : int, of the file
    data : bytes, the file; empty where it went to a target
    fits : bool, whether it has no more bytes than are allowed; a path is written only then
    score : float or None, by SSIMULACRA 2, if it was asked for
    n_frames : int, of an animation that was written
    """

    palette: UInt8Array
    inertia: float
    n_iter: int
    n_bytes: int
    data: bytes
    fits: bool = True
    score: float | None = None
    n_frames: int = 1

    def report(
        self, source: blocks.Source | Animation, target: PathOrFile, seconds: float
    ) -> CompressReport:
        """Return what there is to tell of an image and its target."""
        height, width = source.size
        mse = self.inertia / source.n_pixels
        return CompressReport(
            source=source.name,
            target=os.fspath(target) if isinstance(target, (str, os.PathLike)) else "<file>",
            source_bytes=source.n_bytes,
            target_bytes=self.n_bytes,
            width=width,
            height=height,
            n_colors=len(self.palette),
            mse=mse,
            psnr=psnr_from_mse(mse),
            n_iter=self.n_iter,
            seconds=seconds,
            written=self.fits,
            score=self.score,
            n_frames=self.n_frames,
        )


def most_bytes(source_bytes: int, min_savings: float = 0.0) -> int:
    """Return the largest size of a file that is smaller than its source, and saves a share of it.

    Examples
    --------
    >>> most_bytes(1000), most_bytes(1000, 0.05)
    (999, 950)
    """
    return min(source_bytes - 1, math.floor(source_bytes * (1 - min_savings)))


def format_for(target: PathOrFile | None, format: str | None) -> str:
    """Return the format of a target: its suffix tells, or of what has none, `format`, or PNG."""
    from fastkq.files import formats

    if not isinstance(target, (str, os.PathLike)):
        return formats.check_format(format or formats.PNG)
    by_suffix = formats.format_of(target)
    if format not in (None, by_suffix):
        raise ValueError(
            f"{os.fspath(target)}: its suffix says {by_suffix}, and format is {format!r}; the same "
            "one is allowed"
        )
    return by_suffix


def write_blocks(
    target: PathOrFile,
    shape: tuple[int, int],
    labels: Iterable[UInt8Array],
    palette: UInt8Array,
    attached: Attached = NOTHING,
    bit_depth: int | None = None,
    *,
    like: str | None = None,
    exclusive: bool = False,
    most: int | None = None,
    safety: Safety = PLAIN,
    check: Callable[[Path], None] | None = None,
) -> int:
    """Write the labels (h, W) of blocks of rows as they come; return the bytes of the file.

    For the options behind the profile, see `open_target`.
    """
    from fastkq.files.png import write_indexed_png

    with open_target(
        target, like=like, exclusive=exclusive, most=most, safety=safety, check=check
    ) as file:
        return write_indexed_png(
            file,
            shape,
            labels,
            palette,
            attached=attached,
            bit_depth=bit_depth,
            n_threads=kernels.threads.n_threads(),
        )
