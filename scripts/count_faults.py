"""Inject the faults that the tests know, and count how many were survived.

    python scripts/count_faults.py [--json bench/results/robustness.json]

Each fault is a set of tests, which make it happen: a disk that is full, a signal, a worker that is
killed. A test passes only if there was one line or one error, and nothing was lost or left.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
# Of each fault, the files and the beginnings of the names of its tests.
FAULTS = {
    "a disk that is full, in mid-write or at the renaming; a file system that is read-only": {
        "test_faults": ["test_a_disk_that_is_full"],
        "test_blocks": ["test_a_full_disk", "test_an_interrupted_write"],
        "test_write": ["test_errors_keep"],
        "test_kernel_cache": ["test_a_full_disk"],
        "test_in_place": ["test_a_full_disk"],
    },
    "a directory that is missing, or removed meanwhile; a file that may not be read": {
        "test_faults": ["test_a_directory_that_is_removed"],
        "test_write": ["test_a_missing_directory"],
        "test_decode": ["test_a_file_that_may_not_be_read"],
        "test_plan": ["test_a_folder_that_cannot_be_read"],
    },
    "a target that is a directory, a device, a pipe, or the source through a link": {
        "test_faults": ["test_a_target_that_is_something_else"],
        "test_plan": [
            "test_a_target_that",
            "test_two_targets_that_link",
            "test_what_is_no_regular",
        ],
    },
    "two processes that write one target": {
        "test_cli": ["test_two_at_once"],
        "test_write": ["test_of_many_at_once", "test_exclusive_writes", "test_the_command_tells"],
    },
    "SIGINT, SIGTERM and SIGHUP in mid-run": {
        "test_cli": ["test_a_signal_to_end", "test_an_interrupt_while"],
        "test_cli_batch": ["test_an_interrupt_ends"],
        "test_workers": ["test_an_interrupt_ends"],
    },
    "streams that are closed, full, or no longer read": {
        "test_cli": ["test_closed_and_full_streams", "test_a_reader_that_has_gone"],
    },
    "names that are no text, of 255 bytes, or that would move the cursor": {
        "test_cli_batch": ["test_file_names_that_are_no_text", "test_names_with_line_breaks"],
        "test_write": ["test_names_of_up_to", "test_long_names", "test_a_longer_name"],
        "test_faults": ["test_reports_and_lines"],
    },
    "links and globs that lead out of the tree": {
        "test_faults": ["test_a_recursive_run", "test_outputs_stay"],
        "test_plan": ["test_two_stars_follow", "test_targets_of_a_glob"],
    },
    "memory that runs out": {"test_faults": ["test_out_of_memory"]},
    "a worker that is killed, or dies while it starts": {
        "test_workers": ["test_a_worker_that_dies", "test_workers_that_die", "test_the_cause"],
    },
    "a decoder that hangs": {
        "test_faults": ["test_a_worker_that_hangs", "test_one_image"],
    },
    "a cache of kernels that is damaged, of another version, or cannot be written": {
        "test_kernel_cache": [
            "test_a_damaged",
            "test_a_file_of_other",
            "test_a_pickle",
            "test_a_c",
        ],
    },
    "a source that changes, or an output that is not what was to be written": {
        "test_in_place": [
            "test_a_fault",
            "test_a_wrong_file",
            "test_an_animation_",
            "test_what_is_not_replaced",
        ],
        "test_animations": ["test_a_time_a_loop", "test_a_writer_that_errs"],
    },
}


def run_tests(report: Path, n_processes: int) -> None:
    """Run the tests of all faults."""
    files: dict[str, list[str]] = {}
    for tests in FAULTS.values():
        for file, names in tests.items():
            files.setdefault(file, []).extend(names)
    paths = [f"tests/{file}.py" for file in files]
    wanted = " or ".join(sorted({name for names in files.values() for name in names}))
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(n_processes), *paths, "-k", wanted]
    subprocess.run([*command, f"--junitxml={report}"], cwd=ROOT, check=False)


def count_tests(report: Path) -> dict[str, dict[str, int]]:
    """Return of each fault how often it was injected, and how often survived."""
    counts = {fault: {"injected": 0, "survived": 0} for fault in FAULTS}
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - pytest's own
        file = case.attrib["classname"].split(".")[-1]
        for fault, tests in FAULTS.items():
            if case.find("skipped") is None and case.attrib["name"].startswith(
                tuple(tests.get(file, ["nothing"]))
            ):
                is_good = case.find("failure") is None and case.find("error") is None
                counts[fault]["injected"] += 1
                counts[fault]["survived"] += is_good
    return counts


def main() -> None:
    """Run the tests and store what became of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2, help="processes that run tests, 0: this one")
    parser.add_argument("--json", type=Path, help="store the figures in this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        run_tests(report, options.jobs)
        counts = count_tests(report)
    print(json.dumps(counts, indent=1))
    if options.json is not None:
        known = json.loads(options.json.read_text()) if options.json.exists() else {}
        options.json.write_text(json.dumps(known | {"faults": counts}, indent=1) + "\n")
    sys.exit(any(count["injected"] != count["survived"] for count in counts.values()))


if __name__ == "__main__":
    main()
