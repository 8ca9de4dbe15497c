"""Kill a worker of a Dask cluster in mid-run, and compare with the run of one machine.

    python scripts/cluster_with_a_death.py [--images 300] [--json FILE]

Mixed images, one in twenty broken, are made in a temporary folder. `fastkq.compress_many` goes
through them here; `fastkq.distributed.compress_many` on two worker processes, of which one is
killed by SIGKILL while it has images in work, after a third of all. Both must leave the same files,
byte for byte, and reports that say the same of each image, once. Then histograms are pickled, as
they go from worker to worker, and their bytes counted.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import signal
import sys
import tempfile
import time
from pathlib import Path

from distributed import Client, LocalCluster
from kill_and_resume import count_lines, make_images, read_report, read_tree

import fastkq
import fastkq.distributed

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
import machine
from pictures import SIZES, synthetic

N_COLORS = 32


def run_and_kill(source: Path, target: Path, report: Path, n_before: int) -> dict[str, object]:
    """Run on two workers; kill one, at work, as soon as so many images are reported."""
    killed: dict[str, object] = {}
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=None,
            local_directory=report.parent / "workers",
        ) as cluster,
        Client(cluster) as client,
    ):
        pids = client.run(os.getpid)
        results = fastkq.distributed.compress_many(
            [source], target, N_COLORS, client=client, recursive=True, report=report
        )
        for _ in results:
            if not killed and count_lines(report) >= n_before:
                at_work = [worker for worker, calls in client.processing().items() if calls]
                if at_work:
                    os.kill(pids[at_work[0]], signal.SIGKILL)
                    killed = {"lines_at_kill": count_lines(report)}
        survivors = set(client.run(os.getpid).values())
        # Dask starts another worker in place of the dead one.
        killed["worker_was_at_work"] = "lines_at_kill" in killed and survivors != set(pids.values())
    return killed


def weigh_histograms() -> list[dict[str, int]]:
    """Return the bytes of pickled histograms, of pictures of three sizes."""
    rows = []
    for height, width in SIZES.values():
        histogram = fastkq.color_histogram(synthetic(height, width))
        rows.append(
            {
                "pixels": height * width,
                "colors": len(histogram),
                "bytes": len(pickle.dumps(histogram)),
                "arrays_bytes": histogram.codes.nbytes + histogram.counts.nbytes,
            }
        )
    return rows


def main() -> None:
    """Make, run, kill, compare; exit with 1 where anything differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--json", type=Path, metavar="FILE", help="store what was measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        source = work / "in"
        make_images(source, options.images, seed=0)
        began = time.perf_counter()
        one = fastkq.compress_many(
            [source], work / "A", N_COLORS, jobs=1, recursive=True, report=work / "A.jsonl"
        )
        n_results = sum(1 for _ in one)
        seconds_alone = time.perf_counter() - began
        began = time.perf_counter()
        killed = run_and_kill(source, work / "B", work / "B.jsonl", options.images // 3)
        seconds = time.perf_counter() - began
        report = read_report(work / "A.jsonl", work / "A")
        checks = {
            "same_files": read_tree(work / "A") == read_tree(work / "B"),
            "same_reports": report == read_report(work / "B.jsonl", work / "B"),
            "every_image_reported": len(report) == n_results == options.images,
            "worker_was_at_work": killed["worker_was_at_work"],
        }
    statuses = [line["status"] for line in report.values()]
    stored = {
        "machine": machine.describe("dask", "distributed", "pillow"),
        "images": options.images,
        "statuses": {status: statuses.count(status) for status in sorted(set(statuses))},
        "lines_at_kill": killed.get("lines_at_kill", 0),
        "seconds_alone": seconds_alone,
        "seconds": seconds,
        **checks,
        "histograms": weigh_histograms(),
    }
    print(json.dumps(stored, indent=1))
    if options.json:
        options.json.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    if not all(checks.values()):
        sys.exit("not the same: " + ", ".join(name for name, holds in checks.items() if not holds))


if __name__ == "__main__":
    main()
