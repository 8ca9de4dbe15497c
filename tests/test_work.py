"""The work that fastkq does, in exact numbers, has not grown since it was stored."""

import json
import sys
from pathlib import Path

import pytest

from fastkq.engine.cells import WORK

BENCH = Path(__file__).parents[1] / "bench"
STORED = BENCH / "results" / "work.json"
# Bytes depend on the versions of libdeflate and libwebp, the last digits of errors on the machine.
EXACT = ("iterations", "colors", "cells", "groups", *WORK)
TOLERANCES = {"bytes": 1.01, "mse": 1 + 1e-6, **dict.fromkeys(EXACT, 1)}


@pytest.mark.skipif(not STORED.exists(), reason="the installed package has no benchmarks")
def test_no_work_was_added(monkeypatch):
    """Where more is meant, `python bench/work.py --json bench/results/work.json` stores it."""
    monkeypatch.syspath_prepend(str(BENCH))
    import work

    stored = json.loads(STORED.read_text(encoding="utf-8"))["rows"]
    rows = work.measure()
    assert [(row["picture"], row["what"]) for row in rows] == [
        (row["picture"], row["what"]) for row in stored
    ]
    grown = [
        f"{row['picture']}, {row['what']}: {key} {before[key]} -> {row[key]}"
        for row, before in zip(rows, stored, strict=True)
        for key, tolerance in TOLERANCES.items()
        if key in row and row[key] > before[key] * tolerance
    ]
    assert not grown
    sys.modules.pop("work")
