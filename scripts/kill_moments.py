"""Kill the command by SIGKILL at random moments: its target is complete or absent, and no more.

    python scripts/kill_moments.py [--kills 200] [--json bench/results/robustness.json]

One picture is compressed again and again: by a third of the runs into another file, by a third in
place of a copy of it, and by a third it is an animated GIF that is replaced. A run is killed at a
random moment, or a moment after its temporary file is there. Then the target must be absent, or the
file of an undisturbed run; what is replaced must be the old file or the new one. The next run must
leave exactly the target, whatever lay beside it: also a second name of a complete target, which is
what a kill leaves between giving a new file its name and taking the temporary one away.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.context import ForkProcess
from pathlib import Path

import numpy as np
from PIL import Image

import fastkq.pipeline  # noqa: F401 - what each run would import
from fastkq.cli import main as main_of_command

SHAPE = (500, 700, 3)
FILM_SHAPE = (6, 150, 200, 3)  # a film takes about as long
FORK = multiprocessing.get_context("fork")
AFTER_FILE = 0.02  # seconds between a temporary file and the kill, at most
NAMES = (
    "kills",
    "at random",
    "while it writes",
    "temporary files left",
    "files lost or torn",
    "sources changed",
    "next runs that cleaned up",
    "next runs that did not",
)
GIVE_UP, POLL = 60, 0.0005


def run(arguments: list[str]) -> None:
    """Run the command, in a process of its own."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    sys.exit(main_of_command(["compress", *arguments]))


def start(arguments: list[str]) -> ForkProcess:
    """Start the command: forked from this process, which has imported it, to spare seconds."""
    process = FORK.Process(target=run, args=(arguments,))
    process.start()
    return process


def end_of(process: ForkProcess) -> int | None:
    """Wait for a process, and return its exit code."""
    process.join()
    return process.exitcode


def kill_one(
    folder: Path, arguments: list[str], seconds: float, chance: random.Random
) -> tuple[str, bool]:
    """Start the command and kill it; return how it was killed, and whether it had ended before."""
    process = start(arguments)
    way = chance.choice(["at random", "while it writes"])
    limit = time.monotonic() + GIVE_UP
    if way == "at random":
        time.sleep(chance.uniform(0, seconds * 1.05))
    else:
        while process.is_alive() and time.monotonic() < limit:
            if any(name.endswith(".tmp") for name in os.listdir(folder)):
                time.sleep(chance.uniform(0, AFTER_FILE))
                break
            time.sleep(POLL)
    has_ended = not process.is_alive()
    process.kill()
    process.join()
    return way, has_ended


class Trial:
    """A folder in which runs are killed, and what undisturbed ones leave there."""

    def __init__(self, folder: Path, picture: bytes, film: bytes) -> None:
        self._folder, self._target = folder, folder / "b.png"
        source, animation = folder / "a.png", folder / "film.gif"
        self._old = {source: picture, animation: film}
        in_place = ["--in-place", "-j", "1", "--durable"]
        self.ways = {
            self._target: [str(source), "-o", str(self._target), "--durable"],
            source: [str(source), *in_place],
            animation: [str(animation), *in_place],
        }
        self._whole: dict[Path, bytes] = {}
        self._seconds: dict[Path, float] = {}
        for path, arguments in self.ways.items():
            for _ in range(2):  # the first may compile
                self._reset()
                begin = time.monotonic()
                if end_of(start(arguments)):
                    sys.exit("the undisturbed run fails")
                self._seconds[path] = time.monotonic() - begin
            self._whole[path] = path.read_bytes()
            if self._whole[path] == self._old.get(path):
                sys.exit(f"the undisturbed run does not replace {path.name}")

    def kill(self, path: Path, chance: random.Random, counts: Counter[str]) -> None:
        """Kill a run that writes a file, and count what it leaves, and what the next run does."""
        self._reset()
        way, has_ended = kill_one(self._folder, self.ways[path], self._seconds[path], chance)
        counts["kills"] += not has_ended
        counts[way] += not has_ended
        n_left = self._count_left()
        counts["temporary files left"] += n_left
        now = path.read_bytes() if path.exists() else None
        counts["files lost or torn"] += now not in (self._old.get(path), self._whole[path])
        others = [(other, old) for other, old in self._old.items() if other != path]
        is_kept = all(other.read_bytes() == old for other, old in others)
        counts["sources changed"] += not is_kept
        if now != self._whole[path] or n_left:
            may_exist = ["--force"] if path == self._target else []
            end_of(start([*self.ways[path], *may_exist]))
            is_good = path.read_bytes() == self._whole[path] and not self._count_left()
            counts["next runs that cleaned up"] += is_good
            counts["next runs that did not"] += not is_good

    def _reset(self) -> None:
        for path, old in self._old.items():
            path.write_bytes(old)
        self._target.unlink(missing_ok=True)

    def _count_left(self) -> int:
        return sum(name.endswith(".tmp") for name in os.listdir(self._folder))


def store(counts: Counter[str], path: Path | None) -> dict[str, int]:
    """Return the figures, and store them."""
    results = {name: counts[name] for name in NAMES}
    if path is not None:
        known = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(known | {"kills": results}, indent=1) + "\n")
    return results


def main() -> None:
    """Kill runs and count what they leave."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="store the figures in this file")
    options = parser.parse_args()
    chance, rng = random.Random(options.seed), np.random.default_rng(options.seed)  # noqa: S311
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as root:
        picture, film, folder = Path(root, "a.png"), Path(root, "film.gif"), Path(root, "work")
        Image.fromarray(rng.integers(0, 256, SHAPE, dtype=np.uint8)).save(picture)
        frames = map(Image.fromarray, rng.integers(0, 256, FILM_SHAPE, dtype=np.uint8))
        next(frames).save(film, save_all=True, append_images=list(frames))
        folder.mkdir()
        trial = Trial(folder, picture.read_bytes(), film.read_bytes())
        number = 0
        while counts["kills"] < options.kills:  # some runs end before they are killed
            trial.kill(list(trial.ways)[number % len(trial.ways)], chance, counts)
            number += 1
            store(counts, options.json)  # what was found is kept, whenever this ends
    results = store(counts, options.json)
    print(json.dumps(results))
    wrong = ("files lost or torn", "sources changed", "next runs that did not")
    sys.exit(any(results[name] for name in wrong))


if __name__ == "__main__":
    main()
