"""Many images on one machine: plan, share out, report, resume."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace

from numpy.typing import ArrayLike

from fastkq import image_io
from fastkq.jobs import (
    DONE,
    EXISTS,
    FAILED,
    NO_GAIN,
    OWN_OUTPUT,
    Job,
    JobOptions,
    JobResult,
    plan_jobs,
    remove_leftovers,
    run_job,
    skip_reason,
)
from fastkq.palette_files import read_palette
from fastkq.quantize import EFFORTS
from fastkq.remap import MAX_COLORS, check_palette
from fastkq.run_report import RunReport
from fastkq.shared_palette import SHARED, fit_shared_palette
from fastkq.types import UInt8Array
from fastkq.validate import check_integer, check_number
from fastkq.workers import WorkerDied, map_unordered, n_cores, pixel_budget

__all__ = [
    "DONE",
    "EXISTS",
    "FAILED",
    "NO_GAIN",
    "OWN_OUTPUT",
    "Job",
    "JobOptions",
    "JobResult",
    "compress_many",
    "plan_jobs",
    "remove_leftovers",
    "run_job",
]
