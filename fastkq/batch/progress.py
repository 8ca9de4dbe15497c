"""What a batch tells while it runs: lines, JSON or a bar, and a summary at the end."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, TextIO

from fastkq.batch.job import DONE, EXISTS, FAILED, NO_GAIN, NOT_REACHED, OWN_OUTPUT, JobResult
from fastkq.batch.text import printable
from fastkq.files.formats import GIF, WEBP, Output
from fastkq.paint.dither import MOST_LOSSY

LINES, JSON, QUIET = "lines", "json", "quiet"
FEWEST_COLORS = 2


class Summary:
    """The totals of a run so far."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._counts: Counter[str] = Counter()
        self._n_copied = 0
        self._bytes_saved = 0
        self._pixels = 0

    def add(self, result: JobResult) -> None:
        """Count a result; what an earlier run did counts as skipped, and for nothing else."""
        self._counts[result.status] += 1
        self._n_copied += result.copy is not None
        if result.status == DONE:
            self._bytes_saved += (result.source_bytes or 0) - (result.target_bytes or 0)
        if result.status in (DONE, NO_GAIN) and result.seconds > 0:
            self._pixels += result.pixels or 0

    @property
    def n_failed(self) -> int:
        """How many images failed."""
        return self._counts[FAILED]

    def to_dict(self) -> dict[str, Any]:
        """Return the totals, for JSON."""
        seconds = time.perf_counter() - self._start
        return {
            "images": self._counts.total(),
            "done": self._counts[DONE],
            "no_gain": self._counts[NO_GAIN],
            "target_not_reached": self._counts[NOT_REACHED],
            "skipped": self._counts[EXISTS] + self._counts[OWN_OUTPUT],
            "failed": self._counts[FAILED],
            "copied": self._n_copied,
            "bytes_saved": self._bytes_saved,
            "pixels_per_second": self._pixels / seconds,
            "seconds": seconds,
        }

    def describe(self) -> str:
        """Return the totals as a line."""
        totals = self.to_dict()
        missed = totals["target_not_reached"]
        short = f"{missed} short of the target, " if missed else ""
        copied = f", {totals['copied']} sources copied" if totals["copied"] else ""
        return (
            f"{totals['images']} images: {totals['done']} done, {totals['no_gain']} without gain, "
            f"{short}{totals['skipped']} skipped, {totals['failed']} failed{copied}; "
            f"{self.describe_rate()}, {totals['seconds']:.1f} s"
        )

    def describe_rate(self) -> str:
        """Return what the work is worth, so far."""
        rate = self._pixels / 1e6 / (time.perf_counter() - self._start)
        return f"{self._bytes_saved / 1e6:.1f} MB saved, {rate:.1f} MP/s"


def follow(results: Iterable[JobResult], total: int | None, style: str) -> Summary:
    """Tell of results as they come, of so many if that is known, and return their summary.

    Lines and JSON go to the standard output, what failed to the standard error, where a bar is
    drawn if it is a terminal; lines are spared then if they would go to the same place.
    """
    from tqdm import tqdm

    summary = Summary()
    on_terminal = is_terminal(sys.stderr) and style == LINES
    with tqdm(
        total=total, unit=" images", disable=not on_terminal, dynamic_ncols=True, leave=False
    ) as bar:
        for result in results:
            summary.add(result)
            if result.status == FAILED and style != JSON:
                tqdm.write(f"fastkq: {result.error}", file=sys.stderr)
            elif style == JSON:
                print(json.dumps(result.to_dict()), flush=True)
            elif style == LINES and not (on_terminal and is_terminal(sys.stdout)):
                print(describe(result), flush=True)
            bar.set_postfix_str(summary.describe_rate(), refresh=False)
            bar.update()
    return summary


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether somebody sees what is written to a stream."""
    return stream is not None and stream.isatty()


def describe(result: JobResult) -> str:
    """Return the line that tells what became of an image."""
    line = f"{printable(result.source)} -> {printable(result.target)}: "
    instead = f"copied to {printable(result.copy)}" if result.copy is not None else "not written"
    if result.status == NOT_REACHED:
        return f"{line}{instead}; {result.error}"
    if result.source_bytes is None or result.target_bytes is None or result.psnr is None:
        return line + result.status + (f", {instead}" if result.copy is not None else "")
    if result.status == EXISTS:
        return line + result.status
    change = 1 - result.target_bytes / result.source_bytes
    score = "" if result.score is None else f"SSIMULACRA2 {result.score:.1f}, "
    line += (
        f"{megabytes(result.source_bytes)} -> {megabytes(result.target_bytes)} "
        f"({abs(change):.0%} {'saved' if change >= 0 else 'larger'}), PSNR {result.psnr:.1f} dB, "
        f"{score}{result.n_colors} colors{tell_frames(result.n_frames)}, {result.seconds:.2f} s"
    )
    return line + (f"; no gain, {instead}" if result.status == NO_GAIN else "")


def tell_frames(n_frames: int) -> str:
    """Return what a line tells of an animation's frames.

    Examples
    --------
    >>> tell_frames(24)
    ', 24 frames'
    """
    return f", {n_frames} frames" if n_frames > 1 else ""


def suggest(output: Output, lossy: float, n_colors: int) -> str:
    """Return what a user can try whose output of so many colors is larger than its source.

    Examples
    --------
    >>> suggest(Output("webp"), 20, 64)
    '; a higher --lossy, fewer colors (-k) or --optimize may make it smaller'
    """
    ways = {
        "a higher --lossy": 0 < lossy < MOST_LOSSY,
        "--lossy": lossy == 0,
        "fewer colors (-k)": n_colors > FEWEST_COLORS,
        "--optimize": not output.optimize and output.format != GIF,
        "a WebP (--format webp)": output.format != WEBP,
    }
    left = [way for way, is_left in ways.items() if is_left]
    if not left:
        return ""
    listed = f"{', '.join(left[:-1])} or {left[-1]}" if len(left) > 1 else left[0]
    return f"; {listed} may make it smaller"


def megabytes(n_bytes: int) -> str:
    """Return a size in the unit that suits it."""
    return f"{n_bytes / 1e6:.2f} MB" if n_bytes >= 1e5 else f"{n_bytes / 1e3:.1f} kB"
