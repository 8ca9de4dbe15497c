"""How long a new machine waits: compile time, in a process with an empty cache."""

import os
import subprocess
import sys

import pytest

FIRST_RESULT = "import numpy as np, fastkq; fastkq.quantize(np.eye(9, dtype=np.uint8) * 9, 1)"
EVERYTHING = "from fastkq.warmup import warm_up; warm_up()"


@pytest.mark.benchmark(group="compile")
@pytest.mark.parametrize("code", [FIRST_RESULT, EVERYTHING], ids=["first result", "all kernels"])
def test_compile(benchmark, tmp_path, code):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}

    def run():
        return subprocess.run([sys.executable, "-c", code], env=environment, check=True)

    benchmark.pedantic(run, rounds=1)
    assert list(tmp_path.rglob("*.nbc"))
