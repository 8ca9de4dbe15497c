"""The kernel tests again: with bounds checks, and as plain Python.

Bounds checks find writes past an array that would pass silently; plain Python shows that the tests
reach every line of a kernel, which the parallel compiler hides from coverage.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["NUMBA_BOUNDSCHECK", "NUMBA_DISABLE_JIT"])
def test_kernels_in_mode(mode, tmp_path):
    # Code that is compiled with bounds checks must not enter the cache of ordinary runs.
    environment = os.environ | {mode: "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "test_kernels.py"],
        cwd=TESTS,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:]
    assert " passed" in run.stdout
