"""From an image to a file of few colors: `compress`, and `Compressor` for one after the other."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Unpack, overload

import numpy as np
from numpy.typing import ArrayLike

from fastkq import kernels
from fastkq.animation.entry import compress_any, open_any
from fastkq.defaults import choose_look
from fastkq.engine.search import TargetNotReachedError
from fastkq.files.frames import Animation
from fastkq.files.write import check_output
from fastkq.loading import load_kernels
from fastkq.options import QuantizeKeywords, check_options
from fastkq.result import CompressReport, format_for, most_bytes
from fastkq.types import MAX_COLORS, ImageSource, PathOrFile
from fastkq.validate import check_flag, check_integer


@overload
def compress(
    image: ImageSource | Animation,
    target: None = None,
    n_colors: int = MAX_COLORS,
    *,
    palette: ArrayLike | str | os.PathLike[str] | None = None,
    format: str | None = None,
    overwrite: bool = True,
    allow_larger: bool = False,
    **options: Unpack[QuantizeKeywords],
) -> bytes: ...


@overload
def compress(
    image: ImageSource | Animation,
    target: PathOrFile,
    n_colors: int = MAX_COLORS,
    *,
    palette: ArrayLike | str | os.PathLike[str] | None = None,
    format: str | None = None,
    overwrite: bool = True,
    allow_larger: bool = False,
    **options: Unpack[QuantizeKeywords],
) -> CompressReport: ...


def compress(
    image: ImageSource | Animation,
    target: PathOrFile | None = None,
    n_colors: int = MAX_COLORS,
    *,
    palette: ArrayLike | str | os.PathLike[str] | None = None,
    format: str | None = None,
    overwrite: bool = True,
    allow_larger: bool = False,
    **options: Unpack[QuantizeKeywords],
) -> CompressReport | bytes:
    """Quantize an image into an indexed PNG, a WebP or a GIF; one of any size, by blocks of rows.

    Parameters
    ----------
    image : path, bytes, file object, PIL image, array or Animation
        What `quantize` takes. An animated GIF, PNG or WebP is written with all its frames, unless
        `frame` chooses one; see `frame_palettes`.
        Arrays and TIFF (with `fastkq[tiff]`) of over 67 MP are read by
        blocks of rows, twice or more often, and must not change meanwhile; the result is the same
        as of the whole image in memory.
    target : path ending in .png, .webp or .gif, binary file object, or None
        A file that exists is replaced in one step and keeps its permissions; a new one has none
        that the source lacks; none may be the source. By default the file is returned as bytes.
    palette : (K, 3) or (K, 4) uint8 array_like, or path of a palette file, optional
        These colors, in their order, instead of those that represent the image best; options that
        choose them are then without effect, or refused. For the files, see `remap`.
    format : {"png", "webp", "gif"}, optional
        Of bytes and file objects, by default "png"; a path's suffix tells its own. See
        `QuantizeResult.encode`.
    overwrite : bool
        Whether an existing target is replaced, or a FileExistsError, also if it came meanwhile.
    allow_larger : bool
        Whether a path is written even if its file is no smaller than the source's. By default the
        report says that it is not: `written`. Bytes and file objects always get the picture.
    optimize : bool or "oxipng"
        Take several times as long for a smaller file of the same pixels; not for a PNG of over
        67 MP. See `QuantizeResult.encode`.
    bit_depth : 8 or None
        Of an index in a PNG: 8 for readers that want it, or as few bits as number the palette.
    max_bytes : int, optional
        The largest size of the target, which is as lossy as that needs, found by at most six
        trials. Beside `lossy`, `dither` or `palette`, and for a PNG of over 67 MP, it has as many
        colors as fit: one more does not, or is more than `n_colors`, or than `quality` and the like
        ask for.
    color_space, masking, lossy
        As in `quantize`, but by default "oklab", True and 20, which look best for their bytes.
        `lossy` is 0 by default beside `dither`, `min_score` or `palette`; `masking` is False beside
        `color_space`, `weights` or `palette`, and of an animation; and beside effort "fast", which
        knows sRGB alone, both stay as in `quantize`.
    frame_palettes : bool
        Whether each frame of an animation has a palette of what changes in it, in a GIF or WebP;
        by default, all have one. Options of an animation are for all frames; `weights`, `protect`,
        `masking`, `paper`, `transparent`, `max_bytes`, `min_score` and "oxipng" are for pictures.
    durable : bool
        Whether a path is written to the disk, and then its name, before this returns: for a loss of
        power. By default that is left to the system, within half a minute or so.
    verify : bool
        Whether the file is decoded again, and compared with the palette and labels it was made of,
        before it takes its name. An OSError tells of a difference.
    preserve : bool
        Whether a path gets the times of its source file.
    n_colors, effort, init, max_iter, tol, random_state, weights, locked, protect, \
    paper, dither, dither_strength, quality, max_mse, min_psnr, background, transparent, \
    score, min_score, max_pixels, allow_truncated, page, icc, metadata, frame
        As in `quantize`.

    Returns
    -------
    bytes if no target is named; otherwise CompressReport

    Raises
    ------
    TargetNotReachedError
        Not even `n_colors`, or as many as `max_bytes` has room for, reach what is asked for.
    ValueError, TypeError, OSError
        As `quantize`, and where the target cannot be written. Nothing is left behind in any case.

    Examples
    --------
    >>> import fastkq, numpy as np, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scan = np.lib.format.open_memmap(f"{folder}/scan.npy", "w+", np.uint8, (30, 40, 3))
    ...     scan[:, 20:] = 200
    ...     report = fastkq.compress(scan, os.path.join(folder, "scan.png"))
    >>> report.source, report.n_colors, report.mse
    ('memmap (30, 40, 3)', 2, 0.0)
    >>> fastkq.compress(np.zeros((2, 2, 3), np.uint8))[1:4]
    b'PNG'
    """
    start = time.perf_counter()
    check_flag(overwrite, "overwrite")
    check_flag(allow_larger, "allow_larger")
    if isinstance(target, (str, os.PathLike)):
        source_path = image if isinstance(image, (str, os.PathLike)) else None
        target = check_output(target, source_path, exclusive=not overwrite)
    checked = check_options(
        n_colors,
        palette=palette,
        format=format_for(target, format),
        **choose_look(options, palette),
    )
    source = open_any(image, checked)
    is_bound = isinstance(target, Path) and source.is_file and not allow_larger
    most = most_bytes(source.n_bytes) if is_bound else None
    written = compress_any(source, checked, target, exclusive=not overwrite, most=most)
    if target is None:
        return written.data
    return written.report(source, target, time.perf_counter() - start)


class Compressor:
    """`compress` with the same options for image after image: for the workers of other tools.

    It checks its options once, when it is made, can be pickled, and has no state that a call
    changes: one may be shared by threads. `compress(image)` is for a single image.

    Parameters
    ----------
    n_colors : int
    palette, format, and all options of `quantize`
        As in `compress`. A `random_state` of None is drawn once, here.
    n_threads : int, optional
        Of each call, at most those that Numba has; 1 where as many workers as cores run. By
        default all, or what `numba.set_num_threads` says.

    Raises
    ------
    ValueError, TypeError, OSError
        An option is not allowed, or the file of a palette cannot be read.

    Examples
    --------
    >>> import fastkq, numpy as np
    >>> compressor = fastkq.Compressor(n_colors=4, n_threads=1)
    >>> compressor
    Compressor(4 colors, balanced, oklab, masking, lossy 20)
    >>> ramp = np.arange(64, dtype=np.uint8).reshape(8, 8)
    >>> compressor(ramp) == fastkq.compress(ramp, n_colors=4)
    True
    """

    def __init__(
        self,
        n_colors: int = MAX_COLORS,
        *,
        palette: ArrayLike | str | os.PathLike[str] | None = None,
        format: str | None = None,
        n_threads: int | None = None,
        **options: Unpack[QuantizeKeywords],
    ) -> None:
        if n_threads is not None:
            n_threads = check_integer(n_threads, "n_threads", 1)
        self._n_threads = n_threads
        name = format_for(None, format)
        self._options = check_options(
            n_colors, palette=palette, format=name, **choose_look(options, palette)
        )

    def __call__(self, image: ImageSource | Animation) -> bytes:
        """Return an image as a file of few colors.

        Parameters
        ----------
        image : bytes of a file, path, file object, PIL image, array or Animation
            What `compress` takes.

        Raises
        ------
        TargetNotReachedError, ValueError, TypeError, OSError
            As `compress`.
        """
        with kernels.threads.at_most(self._n_threads):
            return compress_any(open_any(image, self._options), self._options).data

    def warm_up(self) -> None:
        """Load, or compile, the kernels that the calls need, before the first of them.

        A worker's start is the time for it: from the cache on disk it takes under a second.
        """
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        load_kernels()
        reading = replace(self._options.reading, frame=None)
        options = replace(self._options, weights=None, reading=reading)
        with kernels.threads.at_most(self._n_threads), suppress(TargetNotReachedError):
            compress_any(open_any(noise, options), options)

    def __repr__(self) -> str:
        return f"Compressor({self._options.describe()})"
