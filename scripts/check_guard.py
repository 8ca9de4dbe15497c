"""Show what `bench/compare.py` catches: slow one kernel in a copy, by little and by more.

    python scripts/check_guard.py [--json bench/results/guard.json]

The kernel that labels pixels does a share of its blocks twice: none, a twentieth, a fifth. Exits
with 1 if the unchanged copy is told apart, or the slowest is not.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "bench"))
import machine  # noqa: E402 - beside this folder, not installed
from compare import interval, ratios_of, verdict  # noqa: E402

KERNEL = Path("fastkq", "kernels", "remap.py")
WORKLOAD = "remap 2.4 MP, K = 64"
PERCENT = (0, 5, 20)
PARALLEL_LOOP = re.compile(r"^( *)for (\w+) in prange\((.+)\):$", re.MULTILINE)


def copy_package(target: Path) -> Path:
    """Copy the package, without what was compiled."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "fastkq", target / "fastkq", ignore=ignored)
    return target


def slow_kernel(copy: Path, percent: int) -> None:
    """Make the copy's kernel do a share of its blocks twice.

    The blocks are repeated in the parallel loops, whose iterations no compiler can merge: it does
    not know that they write the same.
    """
    path = copy / KERNEL
    repeated = rf"\1for turn in prange((\3) * {100 + percent} // 100):" + "\n"
    repeated += r"\1    \2 = turn % (\3)"
    text, n_loops = PARALLEL_LOOP.subn(repeated, path.read_text(encoding="utf-8"))
    if n_loops == 0:
        sys.exit(f"{KERNEL} has no loop over prange that this script knows how to slow")
    path.write_text(text, encoding="utf-8")


def main() -> None:
    """Compare, print, store and judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the measurements")
    parser.add_argument("--pairs", type=int, default=40, metavar="N")
    options = parser.parse_args()
    rows = []
    for percent in PERCENT:
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
            before, now = copy_package(Path(one)), copy_package(Path(other))
            if percent:
                slow_kernel(now, percent)
            ((_, ratios),) = ratios_of(before, now, options.pairs, WORKLOAD)
        middle, low, high = interval(ratios)
        rows.append({"percent": percent, "median": middle, "low": low, "high": high})
        rows[-1]["verdict"] = verdict(low, high)
        print(f"{percent} %: {middle:.3f} ({low:.3f} to {high:.3f}), {rows[-1]['verdict']}")
    if options.json:
        report = {"machine": machine.describe(), "pairs": options.pairs, "rows": rows}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if rows[0]["verdict"] == "slower" or rows[-1]["verdict"] != "slower":
        sys.exit("the guard does not tell what it must")


if __name__ == "__main__":
    main()
