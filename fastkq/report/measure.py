"""What there is to tell of a picture: its file, what others would be, and where the time goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from fastkq.colors.histogram import ColorHistogram
from fastkq.colors.ssimulacra2 import Picture, score_pictures
from fastkq.engine.model import Fit
from fastkq.files.rows import Source
from fastkq.loading import load_kernels
from fastkq.options import Options
from fastkq.pipeline import collect, count_source, find_fit, look_at_places, open_image
from fastkq.report.trace import Trace, trace_inertia
from fastkq.result import QuantizeResult
from fastkq.score import score_labels
from fastkq.types import MAX_COLORS, ImageSource, UInt8Array

# Where curves are measured.
COUNTS = (2, 4, 8, 16, 32, 64, 128, 256)
LOSSY = (0.0, 10.0, 20.0, 40.0, 60.0, 80.0, 120.0, 200.0)
STAGES = READ, COUNT, FIT, LABEL, WRITE = ("read", "count", "fit", "label", "write")

Found = TypeVar("Found")
# Is told how many of how many files are measured.
Notify = Callable[[int, int], None]


@dataclass(frozen=True)
class Trial:
    """A file that an image becomes by so many colors, labeled so lossily.

    Attributes
    ----------
    n_colors : int, that are asked for
    lossy : float
    n_bytes : int
    score : float, by SSIMULACRA 2
    """

    n_colors: int
    lossy: float
    n_bytes: int
    score: float


@dataclass(frozen=True, eq=False)
class Findings:
    """What was measured of an image.

    Attributes
    ----------
    source : Source
    options : Options
    histogram : ColorHistogram, of the image
    result : QuantizeResult, with its score
    n_bytes : int, of the file
    chosen : Trial, the file itself
    by_colors : list of Trial, by ascending numbers of colors; empty where a palette is given
    by_lossy : list of Trial, by ascending `lossy`; empty with ordered dithering
    trace : Trace or None
    seconds : dict of str to float
        Of each stage, one after the other, with kernels that are loaded; "write" is the encoding.
    """

    source: Source
    options: Options
    histogram: ColorHistogram
    result: QuantizeResult
    chosen: Trial
    by_colors: list[Trial]
    by_lossy: list[Trial]
    trace: Trace | None
    seconds: dict[str, float]

    @property
    def n_bytes(self) -> int:
        """The bytes of the file."""
        return self.chosen.n_bytes

    @cached_property
    def pixels(self) -> UInt8Array:
        """The original as an array."""
        assert self.source.array is not None  # noqa: S101 - `check_scorable` has looked
        return self.source.array


def measure(image: ImageSource, options: Options, notify: Notify | None = None) -> Findings:
    """Quantize an image, and measure what other choices would lead to.

    Parameters
    ----------
    image : what `quantize` takes, but no file object, since it is read twice
    options : Options, with a score
    notify : callable, optional
    """
    load_kernels()
    source = open_image(image, options)
    bench = _Bench(source, options)
    n_colors, lossy = bench.chosen
    counts, degrees = _plan(bench)
    pairs = [(k, lossy) for k in counts] + [(n_colors, degree) for degree in degrees]
    trials = dict.fromkeys([bench.chosen, *pairs])
    measured: dict[tuple[int, float], Trial] = {}
    for pair in trials:
        measured[pair] = bench.try_out(*pair)
        if notify is not None:
            notify(len(measured), len(trials))
    # All kernels are compiled and loaded by now.
    result, seconds = _time_stages(image, options)
    score = score_labels(source, result.labels, result.palette)
    weighted, _ = look_at_places(source, bench.histogram, options)
    fit = options.fit
    if options.target is not None:
        fit = replace(fit, n_colors=n_colors)
    return Findings(
        source=source,
        options=options,
        histogram=bench.histogram,
        result=replace(result, score=score),
        chosen=measured[n_colors, lossy],
        by_colors=[measured[k, lossy] for k in counts],
        by_lossy=[measured[n_colors, degree] for degree in degrees],
        trace=trace_inertia(weighted, fit) if options.palette is None else None,
        seconds=seconds,
    )


class _Bench:
    """An image whose colors are counted once, for one file after the other."""

    def __init__(self, source: Source, options: Options) -> None:
        self._source, self._options = source, options
        self._original = Picture(self._array())
        self.histogram = count_source(source)
        fit = find_fit(source, options, histogram=self.histogram)
        self._fits = {len(fit.palette): fit}
        self.chosen = len(fit.palette), options.dithering.lossy

    @property
    def options(self) -> Options:
        return self._options

    def try_out(self, n_colors: int, lossy: float) -> Trial:
        """Make and measure a file."""
        if n_colors not in self._fits:
            self._fits[n_colors] = self._fit(n_colors)
        result = collect(self._source, self._fits[n_colors], self._options.with_lossy(lossy))
        distorted = Picture(result.labels, result.palette)
        score = score_pictures(self._original, distorted)
        return Trial(n_colors, lossy, len(encode(result, self._options)), score)

    def _fit(self, n_colors: int) -> Fit:
        fit = replace(self._options.fit, n_colors=n_colors)
        options = replace(self._options, fit=fit, target=None)
        return find_fit(self._source, options, histogram=self.histogram)

    def _array(self) -> UInt8Array:
        assert self._source.array is not None  # noqa: S101 - `check_scorable` has looked
        return self._source.array


def _plan(bench: _Bench) -> tuple[list[int], list[float]]:
    """Return the numbers of colors and the `lossy` that are measured, with those chosen."""
    options, (n_colors, lossy) = bench.options, bench.chosen
    counts: set[int] = set()
    if options.palette is None and isinstance(options.fit.init, str):
        most = min(MAX_COLORS, len(bench.histogram))
        counts = {k for k in COUNTS if len(options.fit.locked) < k <= most} | {n_colors}
    is_free = options.dithering.method != "ordered"
    return sorted(counts), sorted({*LOSSY, lossy}) if is_free else []


def encode(result: QuantizeResult, options: Options) -> bytes:
    """Return the file of a result."""
    output = options.output
    return result.encode(output.format, optimize=output.optimize, bit_depth=output.bit_depth)


def _time_stages(image: ImageSource, options: Options) -> tuple[QuantizeResult, dict[str, float]]:
    """Go the way of an image once more, and look at the clock."""
    seconds: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], Found]) -> Found:
        start = time.perf_counter()
        found = work()
        seconds[stage] = time.perf_counter() - start
        return found

    source = timed(READ, lambda: open_image(image, options))
    histogram = timed(COUNT, lambda: count_source(source))
    fit = timed(FIT, lambda: find_fit(source, options, histogram=histogram))
    result = timed(LABEL, lambda: collect(source, fit, options))
    timed(WRITE, lambda: encode(result, options))
    return result, seconds
