"""Kill a batch by SIGKILL at random moments, resume it, and compare with an uninterrupted run.

    python scripts/kill_and_resume.py [--images 2000] [--kills 20] [--json FILE]

Mixed images, one in twenty broken, are made in a temporary folder. One run of the command goes
through undisturbed. Another one is killed again and again - after a random number of further lines
in its report and a random pause, without its worker processes being told - and repeated at once,
until it comes to its end. Both must leave the same files, byte for byte, and reports that say the
same of each image, once; the sources must be as they were, and no process may be left.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
BROKEN_EVERY = 20
LARGE_EVERY = 50
MAX_PAUSE = 0.05  # seconds between the last line that is waited for and the kill
N_JOBS = 2
END_SECONDS = 10  # in which the workers of a killed run must have ended
KINDS = (
    ("jpg", "RGB"),
    ("png", "RGB"),
    ("png", "L"),
    ("jpg", "L"),
    ("webp", "RGB"),
    ("tif", "RGB"),
)


def make_images(folder: Path, n_images: int, seed: int) -> None:
    """Write the images, in a tree of folders."""
    rng = np.random.default_rng(seed)
    for number in range(n_images):
        suffix, mode = KINDS[number % len(KINDS)]
        low, high = (600, 1000) if number % LARGE_EVERY == 0 else (1, 200)
        height, width = rng.integers(low, high, 2).tolist()
        coarse = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        path = folder / f"{number % 7}" / f"{number:05}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.convert(mode).save(path)
        if number % BROKEN_EVERY == 1:
            data = path.read_bytes()
            path.write_bytes(data[: len(data) // 2] if number % 3 else b"no image at all")


def start(source: Path, target: Path, report: Path) -> subprocess.Popen[bytes]:
    """Start the command in a process group of its own."""
    command = [sys.executable, "-m", "fastkq", "compress", source, "--recursive", "-d", target]
    command += ["--report", report, "--jobs", str(N_JOBS), "-k", "32", "--quiet"]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)


def run_and_kill(
    arguments: tuple[Path, Path, Path], n_images: int, n_kills: int, seed: int
) -> list[int]:
    """Run the command to its end, killing it on the way; return the lines there were each time."""
    rng = random.Random(seed)  # noqa: S311 (moments, no secrets)
    report = arguments[-1]
    lines_at_kills: list[int] = []
    groups = []
    while True:
        process = start(*arguments)
        groups.append(process.pid)
        if len(lines_at_kills) < n_kills:
            n_lines, n_left = count_lines(report), n_kills - len(lines_at_kills)
            wanted = n_lines + rng.randint(0, round(1.8 * (n_images - n_lines) / (n_left + 1)))
            while count_lines(report) < wanted and process.poll() is None:
                time.sleep(0.005)
            time.sleep(rng.uniform(0, MAX_PAUSE))
            process.kill()
        code = process.wait()
        if code != -signal.SIGKILL:
            break
        lines_at_kills.append(count_lines(report))
    if code != 1:  # some images are broken
        sys.exit(f"the resumed run ended with exit code {code}")
    wait_for_end(groups)
    return lines_at_kills


def count_lines(report: Path) -> int:
    """Return how many lines are whole."""
    return report.read_bytes().count(b"\n") if report.exists() else 0


def wait_for_end(groups: list[int]) -> None:
    """Wait until no process of the groups is left; exit if some stay."""
    end = time.monotonic() + END_SECONDS
    while any(is_alive(group) for group in groups):
        if time.monotonic() > end:
            sys.exit("worker processes outlive their killed parent")
        time.sleep(0.05)


def is_alive(group: int) -> bool:
    """Return whether a process group has a process."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def read_tree(folder: Path) -> dict[str, str]:
    """Return the digest of every file below a folder, hidden ones too."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def read_report(path: Path, folder: Path) -> dict[str, dict[str, object]]:
    """Return what a report says of each source, but for the time it took; each only once."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    results = {}
    for line in lines:
        del line["seconds"]
        line["target"] = str(Path(line["target"]).relative_to(folder))
        if line["source"] in results:
            sys.exit(f"{path.name} has several lines of {line['source']}")
        results[line["source"]] = line
    return results


def main() -> None:
    """Make, run, kill, compare; exit with 1 where anything differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the counts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        source = work / "in"
        make_images(source, options.images, options.seed)
        before = read_tree(source)

        began = time.perf_counter()
        if start(source, work / "A", work / "A.jsonl").wait() != 1:
            sys.exit("the uninterrupted run should end with exit code 1: some images are broken")
        seconds = time.perf_counter() - began
        resumed = (source, work / "B", work / "B.jsonl")
        began = time.perf_counter()
        lines = run_and_kill(resumed, options.images, options.kills, options.seed)
        seconds_resumed = time.perf_counter() - began

        tree, other = read_tree(work / "A"), read_tree(work / "B")
        report = read_report(work / "A.jsonl", work / "A")
        checks = {
            "same_files": tree == other,
            "same_reports": report == read_report(work / "B.jsonl", work / "B"),
            "every_image_reported": len(report) == len(before),
            "sources_untouched": read_tree(source) == before,
            "killed_as_often_as_asked": len(lines) == options.kills,
        }
    statuses = [line["status"] for line in report.values()]
    row = {
        "images": len(before),
        "statuses": {status: statuses.count(status) for status in sorted(set(statuses))},
        "files": len(tree),
        "kills": len(lines),
        "lines_at_kills": lines,
        "seconds": seconds,
        "seconds_resumed": seconds_resumed,
        **checks,
    }
    print(json.dumps(row, indent=1))
    if options.json:
        sys.path.insert(0, str(ROOT / "bench"))
        import machine

        stored = {"machine": machine.describe("pillow"), "rows": [row]}
        options.json.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    if not all(checks.values()):
        sys.exit("not the same: " + ", ".join(name for name, holds in checks.items() if not holds))


if __name__ == "__main__":
    main()
