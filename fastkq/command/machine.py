"""What `fastkq warmup` and `fastkq doctor` do: the kernels, and the facts of the machine."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

from fastkq.install import terminal

DONE, FAILED = 0, 1


def warmup(options: argparse.Namespace) -> int:
    """Compile all kernels, into a directory if one is given."""
    into = None if options.into is None else Path(os.path.abspath(options.into))
    if into is not None:  # before anything asks where kernels lie
        os.environ["NUMBA_CACHE_DIR"] = str(into)
    from fastkq.batch.pool import n_cores
    from fastkq.install.warmup import warm_up
    from fastkq.kernels import places

    if into is not None:
        place = places.write_place()
        if place is None or into not in place.parents:
            raise ValueError(
                f"--into {options.into} cannot be written; a directory that can be is allowed"
            )
    start = time.perf_counter()
    terminal.compile_all(n_cores())
    warm_up()
    seconds = time.perf_counter() - start
    if options.into is None:
        print(f"kernels ready in {seconds:.1f} s")
    else:
        print(f"kernels ready in {seconds:.1f} s; NUMBA_CACHE_DIR={options.into} has them used")
    return DONE


def doctor(options: argparse.Namespace) -> int:
    """Print the facts of the installation."""
    from fastkq.install.doctor import diagnose

    terminal.share()
    facts = diagnose()
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        for name, fact in facts.items():
            print(f"{name}: {fact}")
    return DONE if facts["self-check"] == "ok" else FAILED
