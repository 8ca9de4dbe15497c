"""What a measurement is made on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numba

from fastkq.loading import load_kernels


def use_threads(count: int) -> None:
    """Let the next calls use so many threads, and have the tables that calls before them leave."""
    numba.set_num_threads(count)
    load_kernels()


def describe(*packages: str) -> dict[str, str]:
    """Return the processor, threads and versions."""
    cpu = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        cpu = names[0] if names else cpu
    facts = {
        "cpu": cpu,
        "threads": str(numba.get_num_threads()),
        "python": platform.python_version(),
    }
    for package in ("fastkq", "numpy", "numba", *packages):
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "absent"
    return facts
