"""The report of one image: the picture beside its original, its colors, curves and times."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from fastkq.colors.metrics import psnr_from_mse
from fastkq.defaults import choose_look
from fastkq.files.formats import PNG
from fastkq.files.profiles import palette_to_srgb
from fastkq.files.source import read_once
from fastkq.options import Options, QuantizeKeywords, check_options
from fastkq.report.measure import Findings, Notify, measure
from fastkq.report.page import check_extra, check_page, read_part, read_plotly, render, write_page
from fastkq.report.pictures import AMPLIFIED, CUBE_LEVELS, cube_means, make_views
from fastkq.types import MAX_COLORS, Array, ImageSource, UInt8Array


def report_image(
    image: ImageSource,
    target: str | os.PathLike[str],
    n_colors: int = MAX_COLORS,
    *,
    palette: ArrayLike | str | os.PathLike[str] | None = None,
    format: str = PNG,
    overwrite: bool = True,
    notify: Notify | None = None,
    **options: Unpack[QuantizeKeywords],
) -> Findings:
    """Write a page that shows an image beside its original, and what other choices would give.

    The page is one HTML file that needs no network. It has both pictures behind a slider, what
    differs, the palette, the colors in three dimensions, the inertia by iteration, bytes and scores
    by the number of colors and by `lossy`, and the times of all stages. The compressed file itself
    is not written.

    Parameters
    ----------
    image : path, bytes, file object, PIL image or array
        What `quantize` takes, in memory and with sides of 8 or more pixels.
    target : path ending in .html
    palette, format, n_colors, and all options of `quantize`
        As in `compress`, but `max_bytes` and `min_score`, which search along what the page shows.
    overwrite : bool
        Whether an existing file is replaced, or a FileExistsError unless it is such a page.
    notify : callable, optional
        Is called with how many files are measured, and of how many, some twenty times.

    Returns
    -------
    Findings
        What the page tells.

    Raises
    ------
    RuntimeError
        The libraries of `fastkq[report]` are missing.
    ValueError, TypeError, OSError
        As `compress`.

    Examples
    --------
    >>> import fastkq, numpy as np, os, tempfile
    >>> from fastkq.report import report_image
    >>> ramp = np.arange(4096, dtype=np.uint8).reshape(64, 64)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = report_image(ramp, os.path.join(folder, "ramp.html"), n_colors=16)
    >>> [trial.n_colors for trial in found.by_colors]
    [2, 4, 8, 16, 32, 64, 128, 256]
    """
    check_extra()
    source_path = image if isinstance(image, (str, os.PathLike)) else None
    path = check_page(target, source_path, overwrite=overwrite)
    for name in ("max_bytes", "min_score"):
        if options.get(name) is not None:
            raise ValueError(
                f"{name} is given; a report shows bytes and scores of all `lossy`, and takes none "
                "that it would search for"
            )
    chosen = choose_look(options, palette) | {"score": True}
    checked = check_options(n_colors, palette=palette, format=format, **chosen)
    findings = measure(read_once(image), checked, notify)
    write_page(path, make_page(findings))
    return findings


def make_page(findings: Findings) -> str:
    """Return the page that tells what was measured of an image."""
    result, source = findings.result, findings.source
    profile = source.attached.make_profile()
    views = make_views(findings.pixels, result.to_array(), profile)
    shown = palette_to_srgb(result.palette, profile)
    shares = result.shares
    order = np.argsort(-shares, kind="stable")
    return render(
        "image.html",
        [read_plotly(), read_part("image.js")],
        title=os.path.basename(source.name) if source.path else source.name,
        findings=findings,
        settings=_describe(findings.options),
        psnr=psnr_from_mse(result.mse),
        views=views,
        amplified=AMPLIFIED,
        colors=[
            {"hex": _hex(shown[i]), "css": f"#{shown[i].tobytes().hex()}", "share": shares[i]}
            for i in order.tolist()
        ],
        cube=CUBE_LEVELS,
        total=sum(findings.seconds.values()),
        data=_plots(findings, shown, shares, profile),
    )


def _describe(options: Options) -> str:
    """Return the options of a file; that it is scored does not decide over it."""
    return f"{options.output.format}, {options.describe()}"


def _plots(
    findings: Findings, palette: UInt8Array, shares: Array, profile: bytes | None
) -> dict[str, Any]:
    """Return the numbers of all plots, for JSON."""
    means, counts = cube_means(findings.histogram)
    means = palette_to_srgb(means, profile) if len(means) else means
    is_seen = palette[:, 3] > 0 if palette.shape[1] == 4 else np.ones(len(palette), bool)
    trace = findings.trace
    return {
        "cubes": {"colors": means.tolist(), "pixels": counts.tolist()},
        "centers": {
            "colors": palette[is_seen, :3].tolist(),
            "shares": [round(share, 6) for share in shares[is_seen].tolist()],
        },
        "trace": None if trace is None else asdict(trace),
        "chosen": asdict(findings.chosen),
        "byColors": [asdict(trial) for trial in findings.by_colors],
        "byLossy": [asdict(trial) for trial in findings.by_lossy],
    }


def _hex(color: UInt8Array) -> str:
    """Return a color as people write it: an alpha only where it is not opaque."""
    digits = color.tobytes().hex()
    return f"#{digits[:6]}" if digits[6:] in ("", "ff") else f"#{digits}"
