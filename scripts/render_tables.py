"""Write the tables of the documents from stored measurements; `--check` only compares.

A table stands between `<!-- table NAME -->` and `<!-- end -->`; NAME is a function here. The
measurements are the JSON files that the scripts of `bench/` write.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import geometric_mean

from targets import LARGE, compare, compare_quality

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
MOST_COLORS = 256
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


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
    """Error and time of seeds and efforts on Kodak, beside the published quantizer."""
    report = load("kodak")
    rows = [
        [
            f"{row['init']}, {row['effort']}",
            str(row["K"]),
            f"{row['mse_float']:.2f}",
            f"{row['mse_uint8']:.2f}",
            f"{row['mse_ibkm']:.2f}",
            f"{row['mse_split_merge']:.2f}",
            f"{row['iterations']:.0f}",
            f"{row['ms']:.0f}",
        ]
        for row in report["rows"]
    ]
    header = ["init, effort", "K", "MSE, float", "MSE, uint8", "IBKM", "with split-merge"]
    header += ["iterations", "ms an image"]
    return f"{markdown(header, rows)}\n\n{machine_line(report)}"


def peers() -> str:
    """Time, error and bytes of fastkq and its peers on large photos."""
    return _peers(lambda pixels: pixels >= LARGE)


def peers_small() -> str:
    """Time, error and bytes on small photos, where fixed costs count."""
    return _peers(lambda pixels: pixels < LARGE)


def _peers(wanted: Callable[[int], bool]) -> str:
    report = load("peers")
    rows = [row for row in report["rows"] if not row.get("absent") and wanted(row["pixels"])]
    parts = []
    for image in dict.fromkeys(row["image"] for row in rows):
        own = [row for row in rows if row["image"] == image]
        colors = sorted({row["K"] for row in own})
        header = [f"{image}, {own[0]['pixels'] / 1e6:.1f} MP"]
        header += [f"K = {k}: {what}" for k in colors for what in ("ms", "MSE", "MB")]
        lines = []
        for tool in dict.fromkeys(row["tool"] for row in own):
            cells = [tool]
            for k in colors:
                found = [row for row in own if (row["tool"], row["K"]) == (tool, k)]
                cells += _peer_cells(found[0]) if found else ["", "", ""]
            lines.append(cells)
        parts.append(markdown(header, lines))
    absent = [row["tool"] for row in report["rows"] if row.get("absent")]
    note = f" Not there: {', '.join(absent)}." if absent else ""
    return "\n\n".join([*parts, machine_line(report) + note])


def _peer_cells(row: dict) -> list[str]:
    digits = 1 if row["min_ms"] < 100 else 0
    return [f"{row['min_ms']:.{digits}f}", f"{row['mse']:.1f}", f"{row['bytes'] / 1e6:.2f}"]


def stages() -> str:
    """Where the time of one image goes, against the time of moving its bytes."""
    report = load("stages")
    rows = []
    for row in report["rows"]:
        _, is_stage, name = row["what"].partition("stage: ")
        if is_stage:
            floor = "" if row["floor_ms"] is None else f"{row['floor_ms']:.1f}"
            name += f", {row['iterations']} iterations" if "iterations" in row else ""
            rows.append([name, row["image"], f"{row['min_ms']:.1f}", floor])
    table = markdown(["stage, K = 256", "image", "ms, least", "ms to move the bytes"], rows)
    return f"{table}\n\n{machine_line(report)}"


def processes() -> str:
    """Time of whole processes, and of their parts alone."""
    rows = []
    for row in load("stages")["rows"]:
        _, is_process, name = row["what"].partition("process: ")
        if is_process:
            rows.append([name, f"{row['min_ms']:.0f}", f"{row['median_ms']:.0f}"])
    return markdown(["process", "ms, least", "ms, median"], rows)


def scaling() -> str:
    """Growth of time and memory with pixels, colors and threads."""
    report = load("scaling")
    header = ["MP", "distinct colors", "K", "threads", "iterations", "ms, least", "MP/s"]
    rows = []
    for row in report["rows"]:
        pixels = row["pixels"]
        rows.append(
            [
                f"{pixels / 1e6:.1f}",
                f"{row['distinct']:,}",
                f"{row['K']}",
                f"{row['threads']}",
                f"{row['iterations']}",
                f"{row['min_ms']:.1f}",
                f"{pixels / row['min_ms'] / 1e3:.0f}",
                f"{row['extra_mb']:.0f}",
            ]
        )
    return f"{markdown([*header, 'extra MB'], rows)}\n\n{machine_line(report)}"


def amdahl() -> str:
    """Which share of an image's time no thread but one works, and what that means for many cores.

    After Amdahl (1967): of two threads, t2 / t1 = serial + (1 - serial) / 2.
    """
    report = load("scaling")
    times = {(row["pixels"], row["K"], row["threads"]): row["min_ms"] for row in report["rows"]}
    rows = []
    for (pixels, k, threads), one in times.items():
        two = times.get((pixels, k, 2))
        if k != MOST_COLORS or threads != 1 or two is None:
            continue
        serial = min(1.0, max(0.0, 2 * two / one - 1))
        many = (one * (serial + (1 - serial) / cores) for cores in (16, 64))
        cells = (f"{one:.1f}", f"{two:.1f}", f"{serial:.0%}", *(f"{ms:.0f}" for ms in many))
        rows.append([f"{pixels / 1e6:.1f}", *cells])
    header = ["MP", "1 thread, ms", "2 threads, ms", "serial", "16 cores, ms", "64 cores, ms"]
    return f"{markdown(header, rows)}\n\n{machine_line(report)}"


def waiting() -> str:
    """Render what a user waits for, before and now."""
    report = load("waiting")
    rows = []
    for row in report["rows"]:
        unit = "MB" if "now_mb" in row else "ms"
        before, now = row[f"before_{unit.lower()}"], row[f"now_{unit.lower()}"]
        digits = 1 if now < 100 else 0
        cells = [f"{before:.{digits}f} {unit}", f"{now:.{digits}f} {unit}", f"{now / before:.2f}"]
        share = f"{row['of_quantette']:.2f} ({row['goal']})" if "goal" in row else ""
        if "one_thread_ms" in row:
            share = f"{now / row['one_thread_ms']:.2f} of one thread"
        rows.append([row["what"], *cells, share])
    header = ["", "fastkq 0.1.0", "now", "ratio", "of quantette's time (goal)"]
    return f"{markdown(header, rows)}\n\n{machine_line(report)}"


def estimator() -> str:
    """Render the times of both estimators, of the same labels."""
    report = load("estimator")
    rows = [
        [
            row["data"],
            f"{row['samples']:,}",
            f"{row['distinct']:,}",
            str(row["K"]),
            str(row["iterations"]),
            f"{row['sklearn_s']:.2f}",
            f"{row['fastkq_s']:.2f}",
            f"{row['sklearn_s'] / row['fastkq_s']:.1f}",
            f"{row['equal_labels']:.3%}",
        ]
        for row in report["rows"]
    ]
    header = ["data", "samples", "distinct", "K", "iterations", "scikit-learn, s", "fastkq, s"]
    return f"{markdown([*header, 'times faster', 'equal labels'], rows)}\n\n{machine_line(report)}"


def file_bytes() -> str:
    """Bytes and time of the same indices by several writers."""
    report = load("bytes")
    rows = report["rows"]
    names = list(dict.fromkeys(row["writer"] for row in rows))
    lines = []
    for key in dict.fromkeys((row["picture"], row["K"], row["dither"]) for row in rows):
        own = {r["writer"]: r for r in rows if (r["picture"], r["K"], r["dither"]) == key}
        cells = [f"{own[name]['bytes'] / 1e3:.1f} kB, {own[name]['ms']:.0f} ms" for name in names]
        dithered = "" if key[2] == "none" else f", {key[2]}"
        lines.append([f"{key[0].split('/')[1]}, K = {key[1]}{dithered}", *cells])
    return f"{markdown(['picture', *names], lines)}\n\n{machine_line(report)}"


QUALITY_GROUPS = {
    "kodak": "Kodak 01-12",
    "cq100": "CQ100, 12 of them",
    "photo2mp": "photos of 2 MP",
    "graphics": "graphics",
    "alpha": "with transparency",
}


def quality() -> str:
    """How the pictures of each group look by each tool."""
    report = load("quality")
    rows = [row for row in report["rows"] if row["at"] == "K"]
    parts = []
    for group, title in QUALITY_GROUPS.items():
        own = [row for row in rows if row["group"] == group]
        if not own:
            continue
        colors = sorted({row["K"] for row in own})
        n_pictures = len({row["picture"] for row in own})
        header = [f"{title} ({n_pictures} pictures)"]
        header += [f"K = {k}: {w}" for k in colors for w in ("MSE", "SSIMULACRA2", "FLIP", "kB")]
        lines = []
        for tool in dict.fromkeys(row["tool"] for row in own):
            cells = [tool]
            for k in colors:
                found = [row for row in own if (row["tool"], row["K"]) == (tool, k)]
                cells += [f"{_mean(found, 'mse'):.1f}", f"{_mean(found, 'ssimulacra2'):.1f}"]
                cells += [f"{_mean(found, 'flip'):.2f}", f"{_mean(found, 'bytes') / 1e3:.1f}"]
            lines.append(cells)
        parts.append(markdown(header, lines))
    return "\n\n".join([*parts, machine_line(report)])


def quality_wins() -> str:
    """Dithered pictures beside pngquant's, at equal colors and at equal bytes."""
    report = load("quality")
    lines = []
    for group, title in QUALITY_GROUPS.items():
        own = [row for row in report["rows"] if row["group"] == group]
        for k in sorted({row["K"] for row in own}):
            rival = {r["picture"]: r for r in own if (r["tool"], r["K"]) == ("pngquant", k)}
            for tool in ("fastkq adaptive", "fastkq oklab, adaptive", "fastkq as by default"):
                found = [r for r in own if (r["tool"], r["K"]) == (tool, k)]
                if found:
                    lines.append([f"{title}, K = {k}, {tool}", *_wins(found, rival)])
    header = ["pictures", "SSIMULACRA2", "pngquant's", "kB", "pngquant's kB"]
    return markdown([*header, "better and smaller", "better at its bytes"], lines)


def _wins(found: list[dict], rival: dict[str, dict]) -> list[str]:
    """Return how a tool's pictures compare with the rival's of the same names."""
    own = [row for row in found if row["at"] == "K"]
    fitted = [row for row in found if row["at"] == "bytes"]
    better = [row["ssimulacra2"] > rival[row["picture"]]["ssimulacra2"] for row in own]
    smaller = [row["bytes"] < rival[row["picture"]]["bytes"] for row in own]
    at_bytes = [row["ssimulacra2"] > rival[row["picture"]]["ssimulacra2"] for row in fitted]
    others = list(rival.values())
    return [
        f"{_mean(own, 'ssimulacra2'):.1f}",
        f"{_mean(others, 'ssimulacra2'):.1f}",
        f"{_mean(own, 'bytes') / 1e3:.1f}",
        f"{_mean(others, 'bytes') / 1e3:.1f}",
        f"{sum(b and s for b, s in zip(better, smaller, strict=True))} of {len(own)}",
        f"{sum(at_bytes)} of {len(fitted)}",
    ]


def dithering() -> str:
    """How dithered pictures look beside quantette's method, at equal colors and equal bytes."""
    report = load("dithering")
    parts = []
    for group, title in list(QUALITY_GROUPS.items())[:3]:
        rows = [row for row in report["rows"] if row["group"] == group]
        colors = sorted({row["K"] for row in rows})
        header = [title]
        header += [f"K = {k}: {w}" for k in colors for w in ("score", "kB", "at equal bytes")]
        lines = []
        for mode, masking in dict.fromkeys((row["mode"], row["masking"]) for row in rows):
            cells = [f"{mode}, masking" if masking else mode]
            for k in colors:
                key = (mode, masking, k)
                own = [row for row in rows if (row["mode"], row["masking"], row["K"]) == key]
                cells += [f"{_mean(own, 'ssimulacra2'):.1f}", f"{_mean(own, 'bytes') / 1e3:.1f}"]
                cells.append(f"{_mean(own, 'at equal bytes'):+.1f}")
            lines.append(cells)
        parts.append(markdown(header, lines))
    return "\n\n".join([*parts, machine_line(report)])


def ordered_trials() -> str:
    """Scores of ordered dithering by its constants."""
    report = load("ordered_trials")
    lines = []
    for row in report["rows"]:
        signed = [f"{value:+.2f}" for name, value in row.items() if ":" in name]
        cells = [f"{row['share']:g}", row["last"], f"{row['chroma']:g}"]
        lines.append([*cells, f"{row['off']:.2f}", f"{row['from afar']:.2f}", *signed])
    header = ["share", "of the last", "a and b", "off", "error from afar"]
    header += [f"K = {name}" for name in report["rows"][0] if ":" in name]
    return f"{markdown(header, lines)}\n\n{machine_line(report)}"


def diffusion_trials() -> str:
    """Scores of error diffusion by how much of an error is passed on."""
    report = load("diffusion_trials")
    lines = []
    for row in report["rows"]:
        signed = [f"{value:+.2f}" for name, value in row.items() if ":" in name]
        lines.append([f"{row['share']:g}", f"{row['off']:.2f}", f"{row['flat']:.2f}", *signed])
    header = ["share", "off", "flat"]
    header += [f"K = {name}" for name in report["rows"][0] if ":" in name]
    return f"{markdown(header, lines)}\n\n{machine_line(report)}"


def _mean(rows: list[dict], key: str) -> float:
    return sum(row[key] for row in rows) / len(rows)


def targets() -> str:
    """Targets, and what was measured."""
    rows = compare(load("peers")["rows"], load("stages")["rows"], load("scaling")["rows"])
    lines = [[what, goal, value, "yes" if met else "no"] for what, goal, value, met in rows]
    return markdown(["what", "target", "measured", "met"], lines)


def quality_targets() -> str:
    """Targets of quality, and what was measured."""
    rows = compare_quality(*(load(name)["rows"] for name in ("kodak", "quality", "bytes")))
    lines = [[what, goal, value, "yes" if met else "no"] for what, goal, value, met in rows]
    return markdown(["what", "target", "measured", "met"], lines)


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


def gigapixel() -> str:
    """Time and memory of an image larger than memory."""
    report = load("gigapixel")
    rows = [
        [
            row["way"],
            f"{row['pixels'] / 1e6:.0f}",
            f"{row['seconds']:.1f}",
            f"{row['read_s']:.1f}",
            f"{row['MP/s']:.0f}",
            f"{row['peak_mb']:.0f}",
        ]
        for row in report["rows"]
    ]
    header = ["way", "MP", "s", "of these read", "MP/s without", "peak MB"]
    return f"{markdown(header, rows)}\n\n{machine_line(report)}"


def other_formats() -> str:
    """Bytes of photos as fastkq writes them, beside other formats of the same score."""
    report = load("other_formats")
    rows = report["rows"]
    names = list(dict.fromkeys(row["format"] for row in rows))
    lines = []
    for picture, k in dict.fromkeys((row["picture"], row["K"]) for row in rows):
        own = {row["format"]: row for row in rows if (row["picture"], row["K"]) == (picture, k)}
        source = f"{own[names[0]]['source_bytes'] / 1e3:.0f}"
        cells = [
            f"{own[name]['bytes'] / 1e3:.0f} kB at {own[name]['ssimulacra2']:.1f}" for name in names
        ]
        lines.append([f"{picture}, K = {k}", source, *cells])
    header = ["photo of 2.4 MP", "its JPEG, kB", *names]
    return f"{markdown(header, lines)}\n\n{machine_line(report)}"


def rate() -> str:
    """Bytes at equal look, of pngquant's and of adaptive dithering's."""
    report = load("rate")
    ratios = {
        "default writer / pngquant": "default",
        "`optimize` / pngquant": "optimize",
        "`optimize` / oxipng of pngquant": "optimize / oxipng",
        "WebP / pngquant": "webp",
        "default writer / adaptive": "default / adaptive",
        "WebP / adaptive": "webp / adaptive",
    }
    groups = list(dict.fromkeys(row["group"] for row in report["rows"]))
    lines = []
    for group in [*groups, "all"]:
        own = [row for row in report["rows"] if group in (row["group"], "all")]
        cells = [
            f"{geometric_mean([row[key] for row in own if key in row]):.2f}"
            for key in ratios.values()
        ]
        for metric in ("butteraugli", "flip"):
            found = [row[metric] for row in own if metric in row]
            better = 100 * sum(value < 1 for value in found) / len(found)
            part = geometric_mean([value for value in found if value > 0])  # 0: ours is exact
            cells.append(f"{part:.2f}, {better:.0f} %")
        lines.append([group, *cells])
    header = ["pictures", *ratios, "butteraugli", "FLIP"]
    return f"{markdown(header, lines)}\n\n{machine_line(report)}"


def lossy_trials() -> str:
    """Trials with labels by cost: what they did to bytes and scores."""
    report = load("lossy_trials")
    rows = report["rows"]
    colors = list(dict.fromkeys(row["K"] for row in rows))
    lines = []
    for trial in dict.fromkeys(row["trial"] for row in rows):
        cells = [trial]
        for n_colors in colors:
            own = [row for row in rows if (row["trial"], row["K"]) == (trial, n_colors)]
            ratios = [row["bytes"] for row in own]
            gains = [row["gain"] for row in own if "gain" in row]
            cells.append(f"{geometric_mean(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")
            cells.append(f"{sum(gains) / len(gains):+.1f}" if gains else "")
        lines.append(cells)
    heads = ("bytes, and of single pictures", "score")
    header = ["what was tried", *(f"K = {k}: {head}" for k in colors for head in heads)]
    return f"{markdown(header, lines)}\n\n{machine_line(report)}"


def gif() -> str:
    """Bytes of GIFs at equal look, and scores at equal bytes, beside gifsicle's."""
    report = load("gif")
    rows = report["rows"]
    levels = list(dict.fromkeys(row["level"] for row in rows))
    lines = []
    for group in [*dict.fromkeys(row["group"] for row in rows), "all"]:
        cells = []
        for level in levels:
            own = [r for r in rows if r["level"] == level and group in (r["group"], "all")]
            gain = sum(row["gain"] for row in own) / len(own)
            ratio = geometric_mean([row["bytes"] for row in own])
            most = max(row["bytes"] for row in own)
            cells += [f"{ratio:.2f}", f"{most:.2f}", f"{gain:+.0f}"]
        lines.append([group, *cells])
    heads = ("bytes at `--lossy={}`", "at most", "score")
    header = ["pictures", *(head.format(level) for level in levels for head in heads)]
    return f"{markdown(header, lines)}\n\n{machine_line(report)}"


def alpha() -> str:
    """Time and memory of a photo of 24 MP with alpha, and of its stages."""
    report = load("alpha")
    kinds = ("opaque", "soft edges", "alpha everywhere")
    rows: dict[str, dict[str, str]] = {}
    for row in report["rows"]:
        what = row["what"].removeprefix("stage: ")
        if row["what"] == "memory":
            rows.setdefault("bytes a pixel beyond the image", {})[row["kind"]] = (
                f"{row['bytes a pixel']:.1f}"
            )
        elif "times opaque" in row:
            name = f"`quantize`, {what}, ms (times the opaque one's)"
            share = f"{row['ms']:.0f} ({row['times opaque']:.2f})"
            rows.setdefault(name, {})[row["kind"]] = share
        elif row["what"] != "shadow":
            rows.setdefault(f"stage: {what}, ms", {})[row["kind"]] = f"{row['ms']:.0f}"
    lines = [[what, *(found.get(kind, "") for kind in kinds)] for what, found in rows.items()]
    return f"{markdown(['24 MP, K = 256', *kinds], lines)}\n\n{machine_line(report)}"


def shadow() -> str:
    """Error and levels of alpha of a soft shadow beside a photo."""
    rows = [
        [row["kind"], f"{row['MSE']:.2f}", str(row["alpha levels"])]
        for row in load("alpha")["rows"]
        if row["what"] == "shadow"
    ]
    return markdown(["a soft shadow beside a photo, K = 256", "MSE", "levels of alpha"], rows)


def score() -> str:
    """Time and memory of a score at 24 MP, and how close scores are to the reference program's."""
    report = load("score")
    rows = report["rows"]
    pairs = [row for row in rows if row["what"] == "pair"]
    memory = next(row["bytes a pixel"] for row in rows if row["what"] == "memory")
    lines = [
        [f"24 MP, {kind} thread{'s' * (kind[-1] > '1')}, s", f"{row['ms'] / 1000:.2f}"]
        for row in rows
        if row["what"] == "time" and (kind := row["kind"])
    ]
    lines.append(["memory beyond both pictures, bytes a pixel", f"{memory:.1f}"])
    for name, column, other in (
        ("the formulas in float64", "float64", "score"),
        ("the reference program", "reference", "score"),
        ("the program from float64", "float64", "reference"),
    ):
        apart = sorted(abs(row[other] - row[column]) for row in pairs)
        found = "; ".join(f"{apart[i]:.2g}" for i in (len(apart) // 2, -4, -1))
        label = name if "from" in name else f"fastkq from {name}"
        lines.append([f"{label}, {len(pairs)} pairs: median; fourth largest; largest", found])
    return f"{markdown(['SSIMULACRA 2', ''], lines)}\n\n{machine_line(report)}"


def animations() -> str:
    """Bytes and scores of animated GIFs, and what fastkq would need for the others' scores."""
    report = load("animations")
    rows = []
    for row in report["rows"]:
        needed = row.get("fastkq_bytes")
        if "fastkq_bytes" not in row:
            ratio = ""
        elif needed is None:
            ratio = "beyond its best"
        else:
            ratio = f"{needed / row['bytes']:.2f}"
        name = f"{row['tool']} {row['options']}".strip()
        rows.append(
            [f"{row['film']}, {name}", f"{row['bytes'] / 1e3:.1f}", f"{row['score']:.1f}", ratio]
        )
    header = ["film, tool", "kB", "SSIMULACRA2", "fastkq's bytes of its, same score"]
    return f"{markdown(header, rows)}\n\n{machine_line(report)}"


SETS = {
    "pngsuite": "PngSuite",
    "broken": "files that broke other decoders",
    "cut off": "six files, cut off at every 64th",
    "flipped bits": "eight files with 1 to 8 flipped bits",
    "animations cut off": "six animations, cut off at every 64th",
    "animations, flipped bits": "six animations with 1 to 8 flipped bits",
}


def hostile() -> str:
    """Outcomes of broken files."""
    report = load("robustness")
    outcomes = ("same", "as decoded", "refused", "wrong", "other error", "crash", "hang")
    rows = [
        [
            SETS[name],
            *(str(found[key]) for key in ("files", *outcomes)),
            f"{found['slowest (s)']:.2f}",
            f"{found['memory (MB)']:.0f}",
        ]
        for name, found in report["files"].items()
    ]
    header = ["set", "files", *outcomes, "slowest, s", "memory, MB"]
    return f"{markdown(header, rows)}\n\n{machine_line(report)}"


def faults() -> str:
    """How many injected faults were survived."""
    found = load("robustness")["faults"]
    rows = [[name, str(row["injected"]), str(row["survived"])] for name, row in found.items()]
    return markdown(["fault", "injected", "survived"], rows)


def kills() -> str:
    """Remains of runs that were killed at random moments."""
    found = load("robustness")["kills"]
    return markdown(["runs killed by SIGKILL", ""], [[name, str(n)] for name, n in found.items()])


def robustness() -> str:
    """Totals of files, faults and kills."""
    report, batches = load("robustness"), load("resume")["rows"]
    files, found = report["files"].values(), report["faults"].values()
    injected, survived = (sum(row[key] for row in found) for key in ("injected", "survived"))
    n_kills = report["kills"]["kills"] + sum(row["kills"] for row in batches)
    lost = report["kills"]["files lost or torn"] + report["kills"]["sources changed"]
    lost += sum(not (row["same_files"] and row["sources_untouched"]) for row in batches)
    rows = [
        ["broken files tried", sum(row["files"] for row in files)],
        ["faults injected by tests, and survived", f"{injected}, {survived}"],
        ["runs killed by SIGKILL", n_kills],
        ["crashes", sum(row["crash"] + row["other error"] for row in files)],
        ["hangs of over 10 s", sum(row["hang"] for row in files)],
        ["files lost or torn", lost],
        ["wrong without a word", sum(row["wrong"] for row in files)],
    ]
    return markdown(["", "number"], [[name, str(value)] for name, value in rows])


def guard() -> str:
    """Tell what a comparison of two revisions says of a kernel that was slowed."""
    report = load("guard")
    rows = [
        [
            f"{row['percent']} %",
            f"{row['median']:.3f}",
            f"{row['low']:.3f} to {row['high']:.3f}",
            row["verdict"],
        ]
        for row in report["rows"]
    ]
    header = ["labels slowed by", "time / before, median", "interval of 95 %", "verdict"]
    return f"{markdown(header, rows)}\n\n{report['pairs']} pairs. {machine_line(report)}"


def summary() -> str:
    """Time, error and bytes beside pngquant, in one row."""
    stages, peers = load("stages"), load("peers")
    whole = {row["what"]: row["min_ms"] / 1e3 for row in stages["rows"] if "process" in row["what"]}
    present = [row for row in peers["rows"] if not row.get("absent")]
    photo = next(row["image"] for row in present if row["pixels"] >= LARGE)
    rows = [row for row in present if (row["image"], row["K"]) == (photo, MOST_COLORS)]
    errors = {row["tool"]: row["mse"] for row in rows}
    rates = load("rate")["rows"]
    ratio = geometric_mean([row["default"] for row in rates if "default" in row])
    better = [row["butteraugli"] < 1 for row in rates if "butteraugli" in row]
    header = [
        "the command, a 24 MP JPEG",
        "pngquant",
        f"squared error of {MOST_COLORS} colors / pngquant's",
        "bytes / pngquant's at equal SSIMULACRA 2",
        "closer at its bytes, by butteraugli",
    ]
    row = [
        f"{whole['process: fastkq compress']:.1f} s",
        f"{whole['process: pngquant']:.1f} s",
        f"{errors['fastkq'] / errors['pngquant (PNG to PNG)']:.2f}",
        f"{ratio:.2f}",
        f"{sum(better)} of {len(better)}",
    ]
    return f"{markdown(header, [row])}\n\n{machine_line(stages)}"


TABLES = {
    "alpha": alpha,
    "animations": animations,
    "bytes": file_bytes,
    "estimator": estimator,
    "cluster": cluster,
    "dithering": dithering,
    "faults": faults,
    "folder": folder,
    "gigapixel": gigapixel,
    "hostile": hostile,
    "kills": kills,
    "guard": guard,
    "kodak": kodak,
    "lossy_trials": lossy_trials,
    "ordered_trials": ordered_trials,
    "diffusion_trials": diffusion_trials,
    "other_formats": other_formats,
    "peers": peers,
    "peers_small": peers_small,
    "processes": processes,
    "quality": quality,
    "rate": rate,
    "gif": gif,
    "quality_targets": quality_targets,
    "quality_wins": quality_wins,
    "resume": resume,
    "robustness": robustness,
    "scaling": scaling,
    "score": score,
    "shadow": shadow,
    "stages": stages,
    "summary": summary,
    "amdahl": amdahl,
    "waiting": waiting,
    "targets": targets,
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
