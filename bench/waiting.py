"""What a user waits for, from file to file: another revision beside this one, in turns.

    python bench/waiting.py REVISION [--only TEXT] [--turns 15] [--json bench/results/waiting.json]

Each revision runs in a process of its own, with kernels of its own; a turn is one call of each, in
an order that changes, and the least time counts, but where medians or worst times are asked for. A
pause before each call lets the threads of the last one go to sleep. Whole commands and first
pictures are processes, started anew each time. The photos are those of ../shared.

Rows with a target of a share of quantette's time (K-means, in Rust) hold it as it was measured
beside fastkq 0.1.0 on another day, where the package was to be had: time now, of the time before,
times that share.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import report
import waiting_work
from compare import ROOT, extract
from waiting_work import LARGE, MEDIUM, PAUSE, QUANTETTE, SMALL, name_of

N_BUSY = 50
WORK = str(Path(waiting_work.__file__).resolve())
OPEN_SMALL = (
    "import time, numpy as np\nfrom PIL import Image\nimport fastkq\n"
    f"image = np.asarray(Image.open({str(SMALL)!r}).convert('RGB'))\n"
)


class Revision:
    """A tree of fastkq, with kernels of its own."""

    def __init__(self, tree: Path, cache: Path) -> None:
        self._tree = tree
        self._environment = dict(os.environ, PYTHONPATH=str(tree), NUMBA_CACHE_DIR=str(cache))
        self._worker: subprocess.Popen[str] | None = None

    def run(self, *arguments: str, **environment: str) -> str:
        """Run a Python process; return what it prints."""
        return subprocess.run(
            [sys.executable, *arguments],
            env=self._environment | environment,
            cwd=self._tree,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout

    def time_process(self, *arguments: str, **environment: str) -> float:
        """Return the seconds that a Python process takes."""
        time.sleep(PAUSE)
        start = time.perf_counter()
        self.run(*arguments, **environment)
        return time.perf_counter() - start

    def names(self) -> list[str]:
        """Start the process that stays; return what it can do."""
        self._worker = subprocess.Popen(
            [sys.executable, WORK],
            env=self._environment,
            cwd=self._tree,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return list(json.loads(self._worker.stdout.readline()))

    def time_call(self, name: str) -> float:
        """Return the seconds that a call takes in the process that stays."""
        self._worker.stdin.write(f"{name}\n")
        self._worker.stdin.flush()
        return float(self._worker.stdout.readline())


Timer = Callable[[Revision], float]


def take_turns(revisions: list[Revision], timer: Timer, turns: int) -> list[list[float]]:
    """Return the times of each revision, after a call that is not counted."""
    times: list[list[float]] = [[] for _ in revisions]
    for revision in revisions:
        timer(revision)
    for turn in range(turns):
        order = range(len(revisions))
        for place in order if turn % 2 else reversed(order):
            times[place].append(timer(revisions[place]))
    return times


def calls(revisions: list[Revision], turns: int, only: str) -> Iterator[report.Row]:
    """Time what a process that stays does."""
    names = [revision.names() for revision in revisions][-1]
    shares = {name_of(*key): value for key, value in QUANTETTE.items()}
    for name in names:
        if only not in name:
            continue
        times = take_turns(revisions, lambda revision, name=name: revision.time_call(name), turns)
        before, now = (min(own) for own in times)
        row: report.Row = {"what": name, "before_ms": 1e3 * before, "now_ms": 1e3 * now}
        if name in shares:
            share, goal = shares[name]
            row |= {"of_quantette": share * now / before, "goal": goal}
        yield row


def commands(revisions: list[Revision], turns: int, only: str) -> Iterator[report.Row]:
    """Time whole processes: with kernels on disk, and without."""
    with tempfile.TemporaryDirectory() as folder:
        target = str(Path(folder, "out.png"))
        compress = ("-m", "fastkq", "compress", "-q", "--force", "-o", target)

        def flags(revision: Revision) -> tuple[str, ...]:
            told = revision.run("-m", "fastkq", "compress", "--help")
            return ("--lossy", "0", "--color-space", "srgb") if "--lossy" in told else ()

        plain = {revision: flags(revision) for revision in revisions}
        timers: dict[str, tuple[Timer, int]] = {
            "the command, 24 MP, plain": (
                lambda r: r.time_process(*compress, *plain[r], str(LARGE)),
                5,
            ),
            "the command, 24 MP, as by default": (
                lambda r: r.time_process(*compress, str(LARGE)),
                5,
            ),
            "a later process, import to first result, 0.4 MP": (
                lambda r: r.time_process("-c", OPEN_SMALL + "fastkq.quantize(image, 64)"),
                10,
            ),
        }
        for name, (timer, most) in timers.items():
            if only in name:
                before, now = (min(own) for own in take_turns(revisions, timer, min(turns, most)))
                yield {"what": name, "before_ms": 1e3 * before, "now_ms": 1e3 * now}
        firsts: dict[str, tuple[str, ...]] = {
            "first picture of a machine, plain": (),
            "then the first dithered one": ("--dither", "adaptive"),
            "then the first as by default": ("default",),
        }
        if any(only in name for name in firsts):
            yield from _first_pictures(revisions, firsts, compress, plain)


def _first_pictures(
    revisions: list[Revision],
    firsts: dict[str, tuple[str, ...]],
    compress: tuple[str, ...],
    plain: dict[Revision, tuple[str, ...]],
) -> Iterator[report.Row]:
    times: dict[str, list[float]] = {name: [] for name in firsts}
    for revision in revisions:
        with tempfile.TemporaryDirectory() as cache:
            for name, own in firsts.items():
                options = () if own == ("default",) else (*plain[revision], *own)
                seconds = revision.time_process(
                    *compress, *options, str(SMALL), NUMBA_CACHE_DIR=cache
                )
                times[name].append(seconds)
    for name, (before, now) in times.items():
        yield {"what": name, "before_ms": 1e3 * before, "now_ms": 1e3 * now}


def busy(revisions: list[Revision], only: str) -> Iterator[report.Row]:
    """Time a small picture beside two processes that spin: the median and the worst."""
    name = "0.4 MP, K = 64, beside two processes that spin"
    if only not in name:
        return
    script = OPEN_SMALL + (
        "for turn in range(55):\n"
        "    start = time.perf_counter()\n"
        "    fastkq.quantize(image, 64)\n"
        "    print(time.perf_counter() - start)\n"
        "    time.sleep(0.01)\n"
    )
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        kinds = [(revisions[0], "before_ms", {}), (revisions[1], "now_ms", {})]
        kinds.append((revisions[1], "one_thread_ms", {"NUMBA_NUM_THREADS": "1"}))
        found = {}
        for revision, key, environment in kinds:
            lines = revision.run("-c", script, **environment).split()
            found[key] = [1e3 * float(line) for line in lines][-N_BUSY:]
    finally:
        for process in spinning:
            process.kill()
            process.wait()
    yield {"what": f"{name}, median"} | {key: median(own) for key, own in found.items()}
    yield {"what": f"{name}, worst of {N_BUSY}"} | {key: max(own) for key, own in found.items()}


def memory(revisions: list[Revision], only: str) -> Iterator[report.Row]:
    """Measure what quantizing takes beyond its input."""
    for photo, label in ((SMALL, "0.4 MP"), (MEDIUM, "2.4 MP")):
        name = f"memory beyond the input, {label}"
        if only in name:
            before, now = (int(r.run(WORK, str(photo))) / 1e6 for r in revisions)
            yield {"what": name, "before_mb": before, "now_mb": now}


def line(row: report.Row) -> list[str]:
    """Return the cells of a row."""
    unit = "MB" if "now_mb" in row else "ms"
    numbers = [row[f"before_{unit.lower()}"], row[f"now_{unit.lower()}"]]
    share = f"{row['of_quantette']:.2f} ({row['goal']})" if "goal" in row else ""
    if "one_thread_ms" in row:
        share = f"{row['now_ms'] / row['one_thread_ms']:.2f} of one thread"
    ratio = f"{numbers[1] / numbers[0]:.2f}"
    return [row["what"], *(f"{number:.1f} {unit}" for number in numbers), ratio, share]


def main() -> None:
    """Measure, print, store."""
    parser = report.arguments(__doc__)
    parser.add_argument("revision", metavar="REVISION")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name has it")
    parser.add_argument("--turns", type=int, default=15, metavar="N")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        trees = [extract(options.revision, _new(folder, "before")), ROOT]
        caches = [_new(folder, f"cache-{name}") for name in ("before", "now")]
        revisions = [Revision(*pair) for pair in zip(trees, caches, strict=True)]
        for revision in revisions:
            revision.run("-m", "fastkq", "warmup")
        for found in (
            memory(revisions, options.only),
            busy(revisions, options.only),
            commands(revisions, options.turns, options.only),
            calls(revisions, options.turns, options.only),
        ):
            for row in found:
                print(" | ".join(line(row)), flush=True)
                rows.append(row)
    header = ["", f"fastkq of {options.revision}", "now", "ratio", "of quantette's time (goal)"]
    report.publish(options, report.markdown(header, map(line, rows)), rows)


def _new(folder: str, name: str) -> Path:
    path = Path(folder, name)
    path.mkdir()
    return path


if __name__ == "__main__":
    main()
