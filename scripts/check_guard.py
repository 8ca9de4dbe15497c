"""Prove that the benchmarks catch a regression: slow one kernel in a copy and see them fail.

    python scripts/check_guard.py

Three runs of a few stages in a copy of the work tree: `before`; `unchanged`, which must pass the
comparison with it; and `slowed`, where every block of the remap is done SLOWDOWN times, which must
fail it for that stage and no other. Exits with 0 if all of this is so, and with 1 otherwise.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("bench", "fastkq", "pyproject.toml")
KERNEL = Path("fastkq", "kernels", "remap.py")
SLOWED = "test_remap"
STAGES = f"2.4 and (test_histogram or ((test_png_write or {SLOWED}) and 256))"  # for pytest -k
SLOWDOWN = 4
# The least time is the steadiest on a machine with other work: noise only ever adds. It was up to
# 1.5 times as long from one run to the next, and is 3 to 4 times as long for the slowed stage.
COMPARISON = ("--benchmark-compare=0001", "--benchmark-compare-fail=min:80%")
PARALLEL_LOOP = re.compile(r"^( *)for (\w+) in prange\((.+)\):$", re.MULTILINE)
REGRESSION = re.compile(r"^\t(\S.*?) \(0001_before\) - Field 'min' has failed", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """What one run of the benchmarks said.

    Attributes
    ----------
    exit_code : of pytest
    regressed : the benchmarks that pytest-benchmark names as slower than allowed
    least : the least time of each benchmark, in ms
    output : everything it printed
    """

    exit_code: int
    regressed: list[str]
    least: dict[str, float]
    output: str


def copy_work_tree(target: Path) -> None:
    """Copy what the benchmarks need, without what was compiled."""
    target.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, target / name)


def slow_kernel(copy: Path) -> None:
    """Make the copy's kernels do each block SLOWDOWN times.

    The blocks are repeated in the parallel loops, whose iterations no compiler can merge: it does
    not know that they write the same.
    """
    path = copy / KERNEL
    repeated = rf"\1for turn in prange({SLOWDOWN} * (\3)):" + "\n" + r"\1    \2 = turn % (\3)"
    text, n_loops = PARALLEL_LOOP.subn(repeated, path.read_text(encoding="utf-8"))
    if n_loops == 0:
        sys.exit(f"{KERNEL} has no loop over prange that this check knows how to slow")
    path.write_text(text, encoding="utf-8")


def run_python(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python on the copy's fastkq, its kernels compiled apart from all others.

    On one thread: work of others on another core must not look like a regression.
    """
    settings = {
        "PYTHONPATH": str(copy),
        "NUMBA_CACHE_DIR": str(copy / "cache"),
        "NUMBA_NUM_THREADS": "1",
        "PYTEST_ADDOPTS": "",
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env=os.environ | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def compile_kernels(copy: Path) -> None:
    """Compile the copy's kernels, so that no timed run does; make sure that they are the copy's."""
    program = "import fastkq, fastkq.install.warmup as w; w.warm_up(); print(fastkq.__file__)"
    run = run_python(copy, "-c", program)
    if run.returncode != 0:
        sys.exit(f"the kernels of the copy do not run:\n{run.stdout}")
    module = Path(run.stdout.splitlines()[-1])
    if not module.resolve().is_relative_to(copy.resolve()):
        sys.exit(f"the copy's Python imports {module}, not the copy's fastkq")


def run_benchmarks(copy: Path, name: str, *comparison: str) -> Run:
    """Run the chosen benchmarks and store them under a name."""
    print(f"{name} ...", file=sys.stderr, flush=True)
    options = ("-k", STAGES, "--benchmark-only", f"--benchmark-save={name}", *comparison)
    run = run_python(copy, "-m", "pytest", "bench", *options)
    stored = list(copy.glob(f".benchmarks/*/*_{name}.json"))
    if len(stored) != 1:
        sys.exit(f"the run `{name}` stored no measurement:\n{run.stdout}")
    benchmarks = json.loads(stored[0].read_text(encoding="utf-8"))["benchmarks"]
    least = {benchmark["name"]: benchmark["stats"]["min"] * 1e3 for benchmark in benchmarks}
    return Run(run.returncode, REGRESSION.findall(run.stdout), least, run.stdout)


def problems(before: Run, unchanged: Run, slowed: Run) -> list[str]:
    """Return what is not as it must be; nothing, if the guard works."""
    expected = [name for name in before.least if name.startswith(SLOWED)]
    if len(expected) != 1 or len(before.least) == 1:
        return [f"measured {', '.join(before.least)}; one {SLOWED} and others are needed"]
    found = []
    if before.exit_code != 0:
        found.append(f"the run to compare with ended with exit code {before.exit_code}")
    if unchanged.exit_code != 0:
        found.append(f"unchanged code did not pass: exit code {unchanged.exit_code}")
    if slowed.exit_code == 0:
        found.append(f"the slowed {SLOWED} passed")
    if slowed.regressed != expected:
        found.append(f"regressed are {slowed.regressed}, not {expected}")
    # A wrong answer fails as well, but says nothing of the comparison.
    found += [
        f"a benchmark did not pass:\n{run.output}"
        for run in (before, unchanged, slowed)
        if re.search(r"^(FAILED|ERROR) ", run.output, re.MULTILINE)
    ]
    return found


def describe(name: str, run: Run, before: Run) -> str:
    """Return what a run said, and its times beside those before."""
    lines = [f"{name}: exit code {run.exit_code}, regressed: {', '.join(run.regressed) or 'none'}"]
    for benchmark, least in run.least.items():
        earlier = before.least.get(benchmark, float("nan"))
        lines.append(f"  {benchmark}: {earlier:.2f} -> {least:.2f} ms, {least / earlier:.2f} times")
    return "\n".join(lines)


def main() -> None:
    """Run the three, print what they said, and judge."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        copy_work_tree(copy)
        compile_kernels(copy)
        before = run_benchmarks(copy, "before")
        unchanged = run_benchmarks(copy, "unchanged", *COMPARISON)
        slow_kernel(copy)
        slowed = run_benchmarks(copy, "slowed", *COMPARISON)
    print(describe("unchanged", unchanged, before))
    print(describe(f"{SLOWED} done {SLOWDOWN} times", slowed, before))
    if found := problems(before, unchanged, slowed):
        sys.exit("\n".join(found))
    print("the benchmarks catch this regression, and nothing else")


if __name__ == "__main__":
    main()
