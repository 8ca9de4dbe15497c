"""Time and memory of an image larger than memory, by blocks of rows, against the same in memory.

    python bench/gigapixel.py [--side 32768] [--folder DIR] [--json bench/results/gigapixel.json]

The picture is a synthetic photo, repeated, with grain of its own in every place; it is made in a
temporary folder as an .npy file and as a tiled BigTIFF (3.2 GB each). Every way of compressing it
runs in a fresh process, after the kernels are loaded. The peak memory is VmHWM from Linux's /proc:
all that is resident, pages of mapped files too. "Read" is the time of the passes over the file
alone (none in memory); the speed is without it. In memory, the file must have the same bytes. The
last row is one repeat of the picture, small enough to be written in one piece by libdeflate.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import report
import tifffile
from pictures import synthetic

import fastkq
from fastkq.files.source import open_source
from fastkq.install.warmup import warm_up

REPEAT_SIDE = 4096
TILE = 512
PASSES = 2
STATUS = Path("/proc/self/status")


def write_pictures(side: int, folder: Path) -> None:
    """Write the picture as .npy and as BigTIFF, and one repeat of it as .npy."""
    one = synthetic(REPEAT_SIDE, REPEAT_SIDE)
    np.save(folder / "one.npy", one)
    rng = np.random.default_rng(1)
    shape = (side, side, 3)
    mapped = np.lib.format.open_memmap(folder / "whole.npy", "w+", np.uint8, shape)
    for start in range(0, side, TILE):
        rows = np.tile(one[start % REPEAT_SIDE :][:TILE], (1, side // REPEAT_SIDE, 1))
        grain = rng.integers(0, 2, rows.shape, np.uint8)
        mapped[start : start + TILE] = np.minimum(rows, 254) + grain

    def tiles() -> Iterator[np.ndarray]:
        for top in range(0, side, TILE):
            for left in range(0, side, TILE):
                yield np.ascontiguousarray(mapped[top : top + TILE, left : left + TILE])

    tifffile.imwrite(
        folder / "whole.tif",
        tiles(),
        shape=shape,
        dtype=np.uint8,
        photometric="rgb",
        tile=(TILE, TILE),
        bigtiff=True,
    )


def measure(way: str, folder: Path) -> report.Row:
    """Compress in this process; return what it took."""
    warm_up()
    target = folder / "out.png"
    start = time.perf_counter()
    if way in ("in memory", "one repeat in memory"):
        image = np.load(folder / ("whole.npy" if way == "in memory" else "one.npy"))
        start = time.perf_counter()
        result = fastkq.quantize(image)
        result.save(target)
        n_pixels, psnr, seconds = result.labels.size, result.psnr, time.perf_counter() - start
        peak, read = _peak_mb(), 0.0
    else:
        is_map = way == "memory map"
        source = np.load(folder / "whole.npy", "r") if is_map else folder / "whole.tif"
        done = fastkq.compress(source, target)
        n_pixels, psnr, seconds = done.width * done.height, done.psnr, done.seconds
        peak = _peak_mb()
        read = PASSES * _seconds_to_read(source)
    return {
        "way": way,
        "pixels": n_pixels,
        "seconds": seconds,
        "read_s": read,
        "MP/s": n_pixels / 1e6 / (seconds - read),
        "peak_mb": peak,
        "psnr": psnr,
        "bytes": target.stat().st_size,
        "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
    }


def _seconds_to_read(source: np.ndarray | Path) -> float:
    start = time.perf_counter()
    for block in open_source(source):
        block.max()  # a mapped page is read when it is touched
    return time.perf_counter() - start


def _peak_mb() -> float:
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) * 1024 / 1e6


def table(rows: list[report.Row]) -> str:
    """Return the rows as Markdown."""
    header = ["way", "MP", "s", "of these read", "MP/s without", "peak MB", "PNG MB", "PSNR"]
    cells = (
        [
            row["way"],
            f"{row['pixels'] / 1e6:.0f}",
            f"{row['seconds']:.1f}",
            f"{row['read_s']:.1f}",
            f"{row['MP/s']:.0f}",
            f"{row['peak_mb']:.0f}",
            f"{row['bytes'] / 1e6:.1f}",
            f"{row['psnr']:.1f}",
        ]
        for row in rows
    )
    return report.markdown(header, cells)


def main() -> None:
    """Measure, print and store."""
    parser = report.arguments(__doc__)
    parser.add_argument("--side", type=int, default=32768, help=f"a multiple of {REPEAT_SIDE}")
    parser.add_argument("--folder", help="where to make the temporary folder")
    options = parser.parse_args()
    if options.side < REPEAT_SIDE or options.side % REPEAT_SIDE:
        parser.error(f"--side is {options.side}; a multiple of {REPEAT_SIDE} is allowed")
    rows: list[report.Row] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        needed, free = 8 * options.side**2, shutil.disk_usage(folder).free
        if free < needed:
            parser.error(f"{folder} has {free / 1e9:.1f} GB free; {needed / 1e9:.1f} are needed")
        write_pictures(options.side, Path(folder))
        for way in ("memory map", "tiled BigTIFF", "in memory", "one repeat in memory"):
            print(way, file=sys.stderr)
            arguments = [sys.executable, __file__, "--measure", way, folder]
            run = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True)
            rows.append(json.loads(run.stdout))
            print(run.stdout, end="", file=sys.stderr)
    if len({row["sha256"] for row in rows[:3]}) != 1:
        sys.exit(f"the files differ: {rows}")
    report.publish(options, table(rows), rows, ["deflate", "zlib-ng", "tifffile"])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2], Path(sys.argv[3]))))
    else:
        main()
