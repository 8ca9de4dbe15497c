"""Write the tables of the documents from stored measurements; `--check` only compares.

A table stands between `<!-- table NAME -->` and `<!-- end -->`; NAME is a function here. The
measurements are the JSON files that the scripts of `bench/` write.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
DOCUMENTS = [ROOT / name for name in ("README.md", "ARCHITECTURE.md")]


def load(name: str) -> dict:
    """Return a stored measurement."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Return a table; all columns but the first are numbers."""
    ruler = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ruler, *rows])


def machine_line(report: dict) -> str:
    """Return what a measurement was made on."""
    facts = report["machine"]
    versions = ", ".join(
        f"{name} {value}"
        for name, value in facts.items()
        if name not in ("cpu", "threads", "python") and value != "absent"
    )
    return f"{facts['cpu']}, {facts['threads']} threads; Python {facts['python']}, {versions}."


def kodak() -> str:
    """Error and time of each seeding on Kodak, beside the published quantizer."""
    report = load("kodak")
    rows = [
        [
            f"`{row['init']}`",
            str(row["K"]),
            f"{row['mse_float']:.2f}",
            f"{row['mse_uint8']:.2f}",
            f"{row['mse_ibkm']:.2f}",
            f"{row['iterations']:.0f}",
            f"{row['ms']:.0f}",
        ]
        for row in report["rows"]
    ]
    header = ["init", "K", "MSE, float", "MSE, uint8", "IBKM, float", "iterations", "ms an image"]
    return f"{markdown(header, rows)}\n\n{machine_line(report)}"


def peers() -> str:
    """Time, error and bytes of fastkq and its peers."""
    report = load("peers")
    rows = []
    for row in report["rows"]:
        if row.get("absent"):
            continue
        rows.append(
            [
                f"{row['tool']}",
                row["image"],
                str(row["K"]),
                f"{row['median_ms']:.0f}",
                f"{row['mse']:.1f}",
                f"{row['bytes'] / 1e6:.2f}",
            ]
        )
    header = ["tool", "image", "K", "ms (median)", "MSE", "PNG, MB"]
    return f"{markdown(header, rows)}\n\n{machine_line(report)}"


def folder() -> str:
    """Throughput of a folder, by processes, by threads and by pngquant."""
    report = load("folder")
    rows = [
        [
            row["tool"],
            f"{row['seconds']:.1f}",
            f"{row['pixels_per_second'] / 1e6:.1f}",
            f"{row['times_pngquant']:.1f}",
        ]
        for row in report["rows"]
    ]
    first = report["rows"][0]
    text = markdown(["command", "s", "MP/s", "times pngquant's"], rows)
    about = f"{first['images']} photos of together {first['pixels'] / 1e6:.0f} MP, the least of "
    return f"{text}\n\n{about}{len(first['all_seconds'])} runs. {machine_line(report)}"


def resume() -> str:
    """Outcome of runs that were killed and resumed, beside an uninterrupted one."""
    report = load("resume")
    checks = (
        "same_files",
        "same_reports",
        "every_image_reported",
        "sources_untouched",
        "killed_as_often_as_asked",
    )
    header = [
        "images",
        *report["rows"][0]["statuses"],
        "kills",
        *(c.replace("_", " ") for c in checks),
    ]
    rows = [
        [
            str(row["images"]),
            *(str(count) for count in row["statuses"].values()),
            str(row["kills"]),
            *("yes" if row[check] else "no" for check in checks),
        ]
        for row in report["rows"]
    ]
    return f"{markdown(header, rows)}\n\n{machine_line(report)}"


def cluster() -> str:
    """Outcome of a cluster's run whose worker was killed, beside that of one machine."""
    report = load("cluster")
    checks = ("same_files", "same_reports", "every_image_reported", "worker_was_at_work")
    header = ["images", *report["statuses"], "killed after", *(c.replace("_", " ") for c in checks)]
    row = [
        str(report["images"]),
        *(str(count) for count in report["statuses"].values()),
        f"{report['lines_at_kill']} images",
        *("yes" if report[check] else "no" for check in checks),
    ]
    return f"{markdown(header, [row])}\n\n{machine_line(report)}"


def wire() -> str:
    """Bytes of a pickled histogram against its distinct colors."""
    rows = [
        [
            f"{row['pixels'] / 1e6:.1f} MP",
            f"{row['colors']:,}",
            f"{row['bytes']:,}",
            f"{row['bytes'] / row['colors']:.2f}",
            f"{row['arrays_bytes'] / row['bytes']:.1f}",
        ]
        for row in load("cluster")["histograms"]
    ]
    header = ["picture", "distinct colors", "bytes", "bytes a color", "times smaller than arrays"]
    return markdown(header, rows)


TABLES = {
    "cluster": cluster,
    "folder": folder,
    "kodak": kodak,
    "peers": peers,
    "resume": resume,
    "wire": wire,
}


def render(text: str) -> str:
    """Return a document with its tables made anew."""

    def table(match: re.Match[str]) -> str:
        return f"<!-- table {match[1]} -->\n\n{TABLES[match[1]]()}\n\n<!-- end -->"

    return re.sub(r"<!-- table (\w+) -->\n.*?<!-- end -->", table, text, flags=re.DOTALL)


def main() -> None:
    """Render, or check, every document."""
    stale = []
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        rendered = render(text)
        if rendered != text:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(rendered, encoding="utf-8")
    if stale and "--check" in sys.argv:
        sys.exit(f"tables are not those of bench/results: {', '.join(stale)}")


if __name__ == "__main__":
    main()
