"""Draw the charts of the documents from stored measurements.

    python scripts/draw_charts.py [--results bench/results] [--to docs]

`peers.png` is drawn from what `bench/peers.py` stored, `scaling.png` from `bench/scaling.py` and
`rate.png` from `bench/rate.py`; a chart whose measurements are not there is left out. The same
measurements give the same file, which fastkq itself compresses.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable
from itertools import cycle
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter
from targets import LARGE

import fastkq

ROOT = Path(__file__).parents[1]
Row = dict[str, object]
WIDTH = 9.0  # inches; at DPI, twice the 900 pixels at which GitHub shows it
DPI = 200
N_COLORS = 128  # of the files: 57 dB, and a third of matplotlib's bytes
INK, MUTED, GRID = "#222222", "#6b6b6b", "#e6e6e6"
STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#b0b0b0",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}
OURS = "fastkq"
# Hues of Okabe and Ito, which color-blind readers tell apart: one a family of tools; the marker
# tells its members apart.
COLORS = {
    OURS: "#d55e00",
    "Pillow": "#56b4e9",
    "imagequant": "#b5679a",
    "pngquant": "#b5679a",
    "scikit-learn": "#009e73",
    "faiss": "#8a8a8a",
    "OpenCV": "#8a8a8a",
    "pyvips": "#c9a400",
}
RATES = {
    "default": ("fastkq, --lossy 5 to 120", {"marker": "o", "markersize": 4}),
    "optimize": ("--optimize", {"linestyle": "--"}),
    "webp": ("lossless WebP", {"linestyle": ":"}),
}
GROUP_TITLES = {
    "kodak": "Kodak",
    "cq100": "CQ100",
    "photo2mp": "2 MP photos",
    "graphics": "graphics",
    "alpha": "transparent",
}
MANY_DECADES = 100  # highest / lowest of an axis
MARKERS = "osDv^<>Pp*Xh8d"
THREAD_COLORS = ("#0072b2", "#d55e00", "#009e73", "#b5679a")
BYTES_A_PIXEL, FIXED_MB = 3, 64  # the reference line of the memory chart


def plain_number(value: float, _position: object) -> str:
    """Return a tick's number as people write it."""
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def log_axis(axes: Axes, which: str, values: Iterable[float]) -> None:
    """Make an axis of these values logarithmic, with plain numbers.

    Over many decades it numbers the powers of 10. Over few, where there is hardly one, it numbers
    twice and five times those as well, and goes from one such number to another.
    """
    values = list(values)
    low, high = 0.8 * min(values), 1.25 * max(values)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    round_numbers = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
    first = max(number for number in round_numbers if number <= low)
    last = min(number for number in round_numbers if number >= high)
    ticks = round_numbers
    if last / first > MANY_DECADES:
        first, last, ticks = low, high, [10.0**decade for decade in decades]
    getattr(axes, f"set_{which}scale")("log")
    getattr(axes, f"set_{which}lim")(first, last)
    axis = getattr(axes, f"{which}axis")
    axis.set_major_locator(FixedLocator([tick for tick in ticks if first <= tick <= last]))
    axis.set_major_formatter(FuncFormatter(plain_number))
    axis.set_minor_locator(LogLocator(subs=range(2, 10), numticks=100))
    axis.set_minor_formatter(NullFormatter())


def new_figure(n_panels: int, height: float, **options: object) -> tuple[Figure, list[Axes]]:
    """Return a figure with its panels side by side."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, n_panels, squeeze=False, **options)[0])


def finish(figure: Figure, handles: list[Line2D], n_columns: int, report: dict, top: float) -> None:
    """Place the panels, and below them the legend and what was measured where."""
    height = figure.get_figheight()
    legend_height = 0.21 * math.ceil(len(handles) / n_columns)  # inches, as the other lengths here
    figure.subplots_adjust(
        left=0.08, right=0.985, top=1 - top / height, bottom=(0.9 + legend_height) / height
    )
    figure.legend(
        handles=handles,
        loc="lower center",
        bbox_to_anchor=(0.5, 0.22 / height),
        ncols=n_columns,
        frameon=False,
    )
    facts = report["machine"]
    text = f"fastkq {facts['fastkq']}; {facts['cpu']}, {facts['threads']} threads"
    figure.text(0.985, 0.06 / height, text, ha="right", fontsize=7, color=MUTED)


def drawn_lines(panels: list[Axes]) -> list[Line2D]:
    """Return a line for each label of the panels."""
    lines = (line for axes in panels for line in axes.get_lines())
    return list({line.get_label(): line for line in lines}.values())


def megapixels(row: Row) -> float:
    """Return the size of a row's image."""
    return row["pixels"] / 1e6


def tool_styles(tools: list[str]) -> dict[str, Row]:
    """Return how each tool's line looks: fastkq's heavy, the others thin, no two alike."""
    styles = {}
    for tool, marker in zip(tools, cycle(MARKERS), strict=False):
        color = next((color for name, color in COLORS.items() if tool.startswith(name)), MUTED)
        style = {"color": color, "marker": marker, "markersize": 5, "linewidth": 0.8, "zorder": 2}
        if tool.startswith(OURS):
            style |= {"markersize": 7, "linewidth": 2, "zorder": 4}
            if tool != OURS:  # with other options
                style |= {"markerfacecolor": "white", "linestyle": "--", "linewidth": 1.4}
                style["zorder"] = 3
        styles[tool] = style
    return styles


def write_colors(axes: Axes, rows: list[Row]) -> None:
    """Write each K left of fastkq's fastest point with it."""
    ours = [row for row in rows if row["tool"].startswith(OURS)]
    colors = sorted({row["K"] for row in ours})
    for n_colors in colors:
        same = [row for row in ours if row["K"] == n_colors]
        fastest = min(same, key=lambda row: row["min_ms"])
        axes.annotate(
            f"K = {n_colors}" if n_colors == colors[0] else f"{n_colors}",
            (fastest["min_ms"], fastest["mse"]),
            xytext=(-8, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            color=COLORS[OURS],
            fontweight="bold",
        )


def plot_image(axes: Axes, rows: list[Row], styles: dict[str, Row]) -> None:
    """Draw time against error of each tool on one image."""
    for tool, style in styles.items():
        points = sorted(
            (row["K"], row["min_ms"], row["mse"]) for row in rows if row["tool"] == tool
        )
        if points:
            _, times, errors = zip(*points, strict=True)
            axes.plot(times, errors, label=tool, **style)
    write_colors(axes, rows)
    axes.set_title(f"{rows[0]['image']}: {megapixels(rows[0]):.1f} megapixels")
    axes.set_xlabel("time, ms (least)")


def draw_peers(report: dict) -> Figure | None:
    """Return time against error of each tool, a panel an image."""
    rows = [row for row in report["rows"] if not row.get("absent")]
    if not rows:
        return None
    rows = [row for row in rows if row["pixels"] >= LARGE]
    images = list(dict.fromkeys(row["image"] for row in rows))
    styles = tool_styles(list(dict.fromkeys(row["tool"] for row in rows)))
    figure, panels = new_figure(len(images), 5.4, sharex=True, sharey=True)
    for axes, image in zip(panels, images, strict=True):
        plot_image(axes, [row for row in rows if row["image"] == image], styles)
    times = [row["min_ms"] for row in rows]
    log_axis(panels[0], "x", [min(times) / 2, *times])  # room for the K
    log_axis(panels[0], "y", [row["mse"] for row in rows])
    panels[0].set_ylabel("mean squared error, sum over R, G, B")
    finish(figure, drawn_lines(panels), 3, report, top=0.75)
    figure.subplots_adjust(wspace=0.08)
    colors = ", ".join(str(n_colors) for n_colors in sorted({row["K"] for row in rows}))
    text = f"Lower left is better. Each line joins K = {colors}, from top to bottom; no dithering."
    figure.text(0.08, 1 - 0.25 / figure.get_figheight(), text, color=INK)
    return figure


def plot_by_threads(
    axes: Axes, rows: list[Row], across: Callable[[Row], float], field: str
) -> None:
    """Draw a field of the rows against another, a line a thread count."""
    counts = sorted({row["threads"] for row in rows})
    for count, color, marker in zip(counts, cycle(THREAD_COLORS), cycle(MARKERS), strict=False):
        points = sorted((across(row), row[field]) for row in rows if row["threads"] == count)
        label = f"{count} threads" if count > 1 else "1 thread"
        axes.plot(*zip(*points, strict=True), color=color, marker=marker, markersize=4, label=label)
    log_axis(axes, "x", map(across, rows))
    log_axis(axes, "y", [row[field] for row in rows])


def plot_reference(
    axes: Axes, rows: list[Row], value: Callable[[float], float], label: str, linestyle: str
) -> None:
    """Draw a function of megapixels to compare with, over the sizes of the rows."""
    sizes = [megapixels(row) for row in rows]
    across = np.geomspace(min(sizes), max(sizes), 100)
    axes.plot(
        across, value(across), color=MUTED, linewidth=1, zorder=1, label=label, linestyle=linestyle
    )


def plot_pixels(axes: Axes, rows: list[Row]) -> None:
    """Draw time against pixels.

    The reference, of slope 1, passes through the least time of the largest picture: what lies above
    it at smaller sizes is cost that does not grow with the pixels.
    """
    plot_by_threads(axes, rows, megapixels, "min_ms")
    largest = max(rows, key=lambda row: (row["pixels"], -row["min_ms"]))
    rate = largest["min_ms"] / megapixels(largest)
    plot_reference(axes, rows, lambda size: rate * size, "in proportion to pixels", "--")
    axes.set(title=f"Time by size, K = {rows[0]['K']}", xlabel="megapixels", ylabel="ms (least)")


def plot_colors(axes: Axes, rows: list[Row]) -> None:
    """Draw time against K."""
    plot_by_threads(axes, rows, lambda row: row["K"], "min_ms")
    colors = sorted({row["K"] for row in rows})
    axes.set_xlim(colors[0] / 1.2, colors[-1] * 1.2)
    axes.xaxis.set_major_locator(FixedLocator(colors))
    axes.xaxis.set_minor_locator(FixedLocator([]))
    axes.tick_params(axis="x", labelsize=8)
    axes.set(title=f"Time by K, {megapixels(rows[0]):.3g} MP", xlabel="K", ylabel="ms (least)")


def plot_memory(axes: Axes, rows: list[Row]) -> None:
    """Draw extra memory against pixels."""
    plot_by_threads(axes, rows, megapixels, "extra_mb")

    def bound(size: float) -> float:
        return BYTES_A_PIXEL * size + FIXED_MB

    extremes = [bound(megapixels(row)) for row in rows]
    log_axis(axes, "y", [*extremes, *(row["extra_mb"] for row in rows)])
    plot_reference(axes, rows, bound, f"{BYTES_A_PIXEL} bytes a pixel + {FIXED_MB} MB", ":")
    axes.set(title=f"Extra memory, K = {rows[0]['K']}", xlabel="megapixels", ylabel="MB (peak)")


def scaling_plots(rows: list[Row]) -> list[tuple[Callable[[Axes, list[Row]], None], list[Row]]]:
    """Return what to plot, with its rows: only the sweeps that were made."""
    many = max((row["K"] for row in rows), default=None)
    by_pixels = [row for row in rows if row["K"] == many]
    with_fewer = max((row["pixels"] for row in rows if row["K"] != many), default=None)
    by_colors = [row for row in rows if row["pixels"] == with_fewer]
    # Memory needs /proc; and none at all has no place on a logarithmic axis.
    by_memory = [row for row in by_pixels if row.get("extra_mb", 0) > 0]
    plots = [(plot_pixels, by_pixels), (plot_colors, by_colors), (plot_memory, by_memory)]
    return [(plot, of_plot) for plot, of_plot in plots if is_sweep(of_plot)]


def is_sweep(rows: list[Row]) -> bool:
    """Whether rows differ in more than their threads."""
    return len({(row["pixels"], row["K"]) for row in rows}) > 1


def draw_scaling(report: dict) -> Figure | None:
    """Return how time and memory grow with pixels and colors; None where nothing was swept."""
    plots = scaling_plots(report["rows"])
    if not plots:
        return None
    figure, panels = new_figure(len(plots), 3.6)
    for axes, (plot, rows) in zip(panels, plots, strict=True):
        plot(axes, rows)
    # The threads first, then the references, which have no markers.
    handles = sorted(drawn_lines(panels), key=lambda line: line.get_marker() == "None")
    finish(figure, handles, len(handles), report, top=0.3)
    figure.subplots_adjust(wspace=0.34)
    return figure


def plot_rates(axes: Axes, rows: list[Row]) -> None:
    """Draw the bytes of pictures against their scores, in terms of pngquant's at 256 colors.

    A point is the geometric mean of the bytes and the mean of the scores over pictures.
    """
    curved = [row for row in rows if "curves" in row]
    own = {row["picture"]: row["pngquant bytes"] for row in curved}
    for name, (label, style) in RATES.items():
        curves = np.array([row["curves"][name] for row in curved], np.float64)
        sizes = curves[..., 0] / np.array(list(own.values()))[:, None]
        points = np.exp(np.log(sizes).mean(axis=0)), curves[..., 1].mean(axis=0)
        axes.plot(*points, label=label, color=COLORS[OURS], **style)
    others = [row for row in rows if row["picture"] in own]
    for column, linestyle in (("pngquant", "-"), ("oxipng", "--")):
        points = []
        for n_colors in sorted({row["K"] for row in others}):
            same = [row for row in others if row["K"] == n_colors]
            logs = [math.log(row[f"{column} bytes"] / own[row["picture"]]) for row in same]
            score = np.mean([row["ssimulacra2"] for row in same])
            points.append((math.exp(np.mean(logs)), score))
        label = "pngquant" if column == "pngquant" else "pngquant, oxipng -o4"
        color = COLORS["pngquant"]
        axes.plot(*zip(*points, strict=True), label=label, color=color, marker="s", ls=linestyle)
    axes.set_title(f"{GROUP_TITLES[rows[0]['group']]} ({len(own)})")
    axes.set_xlabel("bytes / pngquant's")
    axes.set_xlim(0.1, 1.15)


def draw_rate(report: dict) -> Figure | None:
    """Return bytes against look, a panel a group of pictures."""
    rows = report["rows"]
    groups = list(dict.fromkeys(row["group"] for row in rows if "curves" in row))
    if not groups:
        return None
    figure, panels = new_figure(len(groups), 3.6)
    for axes, group in zip(panels, groups, strict=True):
        plot_rates(axes, [row for row in rows if row["group"] == group])
    panels[0].set_ylabel("SSIMULACRA 2")
    finish(figure, drawn_lines(panels), 5, report, top=0.55)
    figure.subplots_adjust(wspace=0.25)
    text = (
        "Upper left is better. Bytes are those of a picture by its pngquant's at 256 colors. "
        "In brackets: how many pictures."
    )
    figure.text(0.08, 1 - 0.2 / figure.get_figheight(), text, color=INK)
    return figure


CHARTS = {"peers": draw_peers, "rate": draw_rate, "scaling": draw_scaling}


def save(figure: Figure, target: Path) -> None:
    """Write a figure as an indexed PNG."""
    figure.canvas.draw()
    image = np.ascontiguousarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])
    n_bytes = fastkq.quantize(image, N_COLORS).save(target)
    print(f"{target.name}: {n_bytes / 1000:.0f} kB")


def main() -> None:
    """Draw each chart whose measurements are stored."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results", metavar="DIR")
    parser.add_argument("--to", type=Path, default=ROOT / "docs", metavar="DIR")
    options = parser.parse_args()
    for name, draw in CHARTS.items():
        source, target = options.results / f"{name}.json", options.to / f"{name}.png"
        if not source.exists():
            print(f"{target.name}: not drawn, there is no {source.name}")
            continue
        with mpl.rc_context(STYLE):
            figure = draw(json.loads(source.read_text(encoding="utf-8")))
            if figure is None:
                print(f"{target.name}: not drawn, {source.name} has nothing to draw")
            else:
                save(figure, target)


if __name__ == "__main__":
    main()
