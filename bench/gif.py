"""Bytes of a GIF at equal look: fastkq's `lossy` against gifsicle's `--lossy`, by SSIMULACRA 2.

    python bench/gif.py [--json bench/results/gif.json]

It takes about five minutes, with a third of the pictures of each group. Needs the group `peers`,
gifsicle and ../shared/photos. gifsicle makes lossy what pngquant has written with 256 colors, since
its own palettes lose more. fastkq writes each picture with a palette in Oklab, at several values of
`lossy`, and at its most with fewer colors; its bytes at gifsicle's score lie on the line between
two of these, and so does its score at gifsicle's bytes.
"""

from __future__ import annotations

import io
import subprocess
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import report
from pictures import PHOTOS
from PIL import Image
from rate import Point, as_png, at_score, decode, mean, pngquant

import fastkq

GROUPS = ("kodak", "cq100", "photo2mp")
LEVELS = (30, 80)
EVERY = 3  # of the pictures, one in so many
SETTINGS = ((256, 20), (256, 40), (256, 60), (256, 80), (256, 100), (128, 100), (64, 100))
PACKAGES = ("pillow", "pngquant-cli")


def gifsicle(image: np.ndarray, level: int) -> bytes:
    """Return the GIF of a picture as pngquant and gifsicle make it."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.gif"
        with Image.open(io.BytesIO(pngquant(as_png(image), 256))) as indexed:
            indexed.save(source)
        command = ["gifsicle", "-O3", f"--lossy={level}", "-k", "256", str(source)]
        return subprocess.run(command, capture_output=True, check=True).stdout


def at_bytes(curve: list[Point], size: int) -> float:
    """Return the score of a curve at so many bytes, by lines through the logarithms of bytes."""
    sizes, scores = np.array(sorted(curve)).T
    return float(np.interp(np.log(size), np.log(sizes), scores))


def measure(path: Path, group: str) -> list[report.Row]:
    """Return the rows of a picture, one for each level of gifsicle."""
    with Image.open(path) as opened:
        image = np.asarray(opened.convert("RGB"))
    curve: list[Point] = []
    for n_colors, lossy in SETTINGS:
        data = fastkq.compress(
            image, n_colors=n_colors, lossy=lossy, format="gif", color_space="oklab"
        )
        curve.append((len(data), fastkq.ssimulacra2(image, decode(data))))
    rows: list[report.Row] = []
    for level in LEVELS:
        theirs = gifsicle(image, level)
        score = fastkq.ssimulacra2(image, decode(theirs))
        rows.append(
            {
                "group": group,
                "picture": path.stem,
                "level": level,
                "gifsicle bytes": len(theirs),
                "ssimulacra2": score,
                "bytes": at_score(curve, score) / len(theirs),
                "gain": at_bytes(curve, len(theirs)) - score,
            }
        )
    return rows


def table(rows: list[report.Row]) -> str:
    """Return the means by group as Markdown."""
    lines = []
    for group in (*GROUPS, "all"):
        line = [group]
        for level in LEVELS:
            own = [r for r in rows if r["level"] == level and group in (r["group"], "all")]
            line.append(f"{mean(own, 'bytes'):.2f}")
            line.append(f"{np.mean([row['gain'] for row in own]):+.1f}")
        lines.append(line)
    heads = [f"{what}, --lossy={level}" for level in LEVELS for what in ("bytes", "gain")]
    return report.markdown(["group", *heads], lines)


def main() -> None:
    """Measure, print and store."""
    options = report.arguments(__doc__).parse_args()
    pictures = [
        (path, group)
        for group in GROUPS
        for path in sorted((PHOTOS / group).iterdir())[::EVERY]
        if path.suffix in (".png", ".jpg")
    ]
    rows: list[report.Row] = []
    with ProcessPoolExecutor() as pool:
        for (path, _), own in zip(
            pictures, pool.map(measure, *zip(*pictures, strict=True)), strict=True
        ):
            print(path.name, [round(row["bytes"], 3) for row in own], flush=True)
            rows.extend(own)
    report.publish(options, table(rows), rows, PACKAGES)


if __name__ == "__main__":
    main()
