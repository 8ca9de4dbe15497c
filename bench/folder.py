"""Throughput of a folder: fastkq one at a time, two at a time, and pngquant over the same files.

    python bench/folder.py [--repeat 3] [--times 3] [--json bench/results/folder.json]

The folder has the JPEG and PNG photos of ../shared/photos, each several times under other names, so
that the start of the workers, about a second, is a small part; pngquant, which reads no JPEG, gets
them as PNG, and fastkq these as well. Each contender is run as its users run it, from starting the
command to its end; pngquant, which takes one file after the other, also two at a time. Nobody
dithers. One at a time uses all cores in the kernels, so it is also run on one core only; threads in
one process are measured beside fastkq's processes. The contenders take turns, and the least time of
each counts: others on the machine can only add to it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import report
from pictures import PHOTOS
from PIL import Image

from fastkq import kernels
from fastkq.batch.job import JobOptions, JobResult, run_job
from fastkq.batch.plan import Job, plan_jobs
from fastkq.options import check_options

FOLDERS = {"large": 1, "photo2mp": 2, "kodak": 2, "cq100": 2}  # and their shares
SUFFIXES = {".jpg", ".png"}
N_COLORS = 256
IN_THREADS = "--in-threads"  # FOLDER OUT: how this script calls itself


def make_folders(originals: Path, pngs: Path, n_times: int) -> int:
    """Fill the folders with the photos, and the same as PNG; return their pixels."""
    n_pixels = 0
    for name, share in FOLDERS.items():
        for path in sorted((PHOTOS / name).iterdir()):
            if path.suffix not in SUFFIXES:
                continue
            for number in range(share * n_times):
                copy = f"{name}-{path.stem}-{number}"
                shutil.copy(path, originals / f"{copy}{path.suffix}")
                if number:
                    shutil.copy(pngs / f"{name}-{path.stem}-0.png", pngs / f"{copy}.png")
                with Image.open(path) as image:
                    n_pixels += image.width * image.height
                    if not number:
                        image.convert("RGB").save(pngs / f"{copy}.png", compress_level=1)
    return n_pixels


def run_fastkq(source: Path, target: Path, n_jobs: int) -> None:
    """Run the command."""
    command = [sys.executable, "-m", "fastkq", "compress", source, "-d", target, "--quiet"]
    subprocess.run([*command, "-k", str(N_COLORS), "--jobs", str(n_jobs)], check=True)


def run_on_one_core(source: Path, target: Path, n_jobs: int) -> None:
    """Run the command where it may use one core only."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        run_fastkq(source, target, n_jobs)
    finally:
        os.sched_setaffinity(0, allowed)


def run_in_threads(source: Path, target: Path, n_threads: int) -> None:
    """Run this script, which does the same work by threads of one process."""
    subprocess.run(
        [sys.executable, __file__, IN_THREADS, source, target, str(n_threads)], check=True
    )


def compress_in_threads(source: Path, target: Path, n_threads: int) -> None:
    """Compress a folder by threads, each with its share of the cores for the kernels."""
    share = max(1, (os.cpu_count() or 1) // n_threads)

    def run(job: Job) -> JobResult:
        return run_job(job, JobOptions(check_options(N_COLORS)))

    with ThreadPoolExecutor(
        n_threads, initializer=kernels.threads.set_threads, initargs=(share,)
    ) as pool:
        for result in pool.map(run, plan_jobs([source], target)):
            assert result.error is None, result.error


def run_pngquant(source: Path, target: Path, n_jobs: int) -> None:
    """Run pngquant for each file, some at once."""
    beside_python = str(Path(sys.executable).parent)
    command = shutil.which("pngquant") or shutil.which("pngquant", path=beside_python)
    assert command is not None, 'there is no command pngquant: pip install "pngquant-cli"'
    target.mkdir()

    def run(path: Path) -> None:
        output = target / path.name
        subprocess.run([command, "--nofs", "--output", output, str(N_COLORS), path], check=True)

    with ThreadPoolExecutor(n_jobs) as pool:
        list(pool.map(run, sorted(source.iterdir())))


def measure(
    contenders: dict[str, tuple[Callable[[Path, Path, int], None], Path, int]],
    work: Path,
    repeat: int,
) -> dict[str, list[float]]:
    """Return the seconds of each contender, turn by turn, each turn starting with another."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(repeat):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            run, source, n_jobs = contenders[name]
            start = time.perf_counter()
            run(source, work / "out", n_jobs)
            seconds[name].append(time.perf_counter() - start)
            shutil.rmtree(work / "out", ignore_errors=True)
            print(f"{name}: {seconds[name][-1]:.1f} s", file=sys.stderr, flush=True)
    return seconds


def main() -> None:
    """Measure, print and store."""
    if IN_THREADS in sys.argv:
        source, target, n_threads = sys.argv[2:]
        compress_in_threads(Path(source), Path(target), int(n_threads))
        return
    parser = report.arguments(__doc__)
    parser.add_argument("--repeat", type=int, default=3, help="turns (default: 3)")
    parser.add_argument("--times", type=int, default=3, help="copies of the folder (default: 3)")
    options = parser.parse_args()
    if not PHOTOS.is_dir():
        parser.error(f"{PHOTOS}: no such folder")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        originals, pngs = work / "originals", work / "pngs"
        originals.mkdir()
        pngs.mkdir()
        n_pixels = make_folders(originals, pngs, options.times)
        n_images = len(list(originals.iterdir()))
        seconds = measure(
            {
                "fastkq --jobs 1": (run_fastkq, originals, 1),
                "fastkq --jobs 1, on one core": (run_on_one_core, originals, 1),
                "fastkq --jobs 2": (run_fastkq, originals, 2),
                "fastkq by 2 threads": (run_in_threads, originals, 2),
                "fastkq --jobs 1, PNG": (run_fastkq, pngs, 1),
                "fastkq --jobs 2, PNG": (run_fastkq, pngs, 2),
                "pngquant, PNG": (run_pngquant, pngs, 1),
                "pngquant, two at a time, PNG": (run_pngquant, pngs, 2),
            },
            work,
            options.repeat,
        )
    least = {name: min(times) for name, times in seconds.items()}
    rows: list[report.Row] = [
        {
            "tool": name,
            "images": n_images,
            "pixels": n_pixels,
            "seconds": least[name],
            "all_seconds": times,
            "pixels_per_second": n_pixels / least[name],
            "times_pngquant": least["pngquant, PNG"] / least[name],
        }
        for name, times in seconds.items()
    ]
    report.publish(options, table(rows), rows, ("pillow", "pngquant-cli"))


def table(rows: list[report.Row]) -> str:
    """Return the rows as Markdown."""
    return report.markdown(
        ["tool", "s", "MP/s", "times pngquant's"],
        [
            [
                f"{row['tool']}",
                f"{row['seconds']:.1f}",
                f"{row['pixels_per_second'] / 1e6:.1f}",
                f"{row['times_pngquant']:.1f}",
            ]
            for row in rows
        ],
    )


if __name__ == "__main__":
    main()
