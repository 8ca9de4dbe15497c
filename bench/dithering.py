"""How dithered pictures look at equal colors, beside quantette's method; and what masking gives.

    python bench/dithering.py [--json bench/results/dithering.json] [--k 64 256]

It takes about five minutes. Needs ../shared/photos. Palettes of fastkq are in Oklab, with
and without `masking`; files are of fastkq's writer. `quantette_method` says what the rival is.
"At equal bytes" is the score of fastkq less that of the rival, less what the rival gains by so many
more bytes: on the line through its mean scores of a group at both numbers of colors, by the
logarithm of the bytes. So a mode that writes fewer bytes is not punished for it. The line is that
of a group: on one picture (`color_chart`), the rival scores less in more bytes, and a line of its
own would take every byte saved for a loss.
"""

from __future__ import annotations

import sys

import numpy as np
import quantette_method
import report
from quality import read_group

import fastkq
from fastkq.files.png import encode_indexed_png

GROUPS = ("kodak", "cq100", "photo2mp")
RIVAL = "quantette's method"
MODES: dict[str, dict[str, object]] = {
    "diffusion": {"dither": "diffusion"},
    "adaptive": {"dither": "adaptive"},
    "ordered": {"dither": "ordered"},
}


def measure(image: np.ndarray, n_colors: int) -> list[report.Row]:
    """Return the score and bytes of each way to show a picture in few colors."""
    shown = {(RIVAL, False): quantette_method.quantize(image, n_colors)}
    for masking in (False, True):
        palette = fastkq.fit_palette(image, n_colors, color_space="oklab", masking=masking)
        for mode, options in MODES.items():
            shown[mode, masking] = fastkq.remap(image, palette, **options), palette
    rows: list[report.Row] = []
    for (mode, masking), (labels, palette) in shown.items():
        row: report.Row = {"K": n_colors, "mode": mode, "masking": masking}
        row["bytes"] = len(encode_indexed_png(labels, palette))
        row["ssimulacra2"] = fastkq.ssimulacra2(image, palette[labels])
        rows.append(row)
    return rows


def add_equal_bytes(rows: list[report.Row]) -> None:
    """Add to the rows of a group of pictures what each scores above the rival at as many bytes."""
    rivals = {(row["picture"], row["K"]): row for row in rows if row["mode"] == RIVAL}
    colors = sorted({n_colors for _, n_colors in rivals})
    points = [
        np.mean(
            [
                (np.log(row["bytes"]), row["ssimulacra2"])
                for key, row in rivals.items()
                if key[1] == n
            ],
            axis=0,
        )
        for n in colors
    ]
    slope = np.polyfit(*np.transpose(points), 1)[0]
    for row in rows:
        rival = rivals[row["picture"], row["K"]]
        gained = slope * np.log(row["bytes"] / rival["bytes"])
        row["at equal bytes"] = row["ssimulacra2"] - rival["ssimulacra2"] - gained


def table(rows: list[report.Row]) -> str:
    """Return the means by mode, masking and K as Markdown."""
    lines = []
    for key in dict.fromkeys((row["mode"], row["masking"], row["K"]) for row in rows):
        own = [row for row in rows if (row["mode"], row["masking"], row["K"]) == key]
        cells = [f"{key[0]}{', masking' if key[1] else ''}", str(key[2])]
        for group in GROUPS:
            of_group = [row for row in own if row["group"] == group]
            for name, digits in (("ssimulacra2", 2), ("bytes", 1), ("at equal bytes", 2)):
                unit = 1e3 if name == "bytes" else 1
                cells.append(f"{np.mean([row[name] for row in of_group]) / unit:.{digits}f}")
        lines.append(cells)
    header = ["mode", "K"]
    header += [f"{group}: {what}" for group in GROUPS for what in ("score", "kB", "equal bytes")]
    return report.markdown(header, lines)


def main() -> None:
    """Measure, print and store."""
    parser = report.arguments(__doc__)
    parser.add_argument("--k", nargs="+", type=int, default=[64, 256])
    options = parser.parse_args()
    if len(options.k) < 2:
        parser.error("--k takes two numbers or more: equal bytes are found between them")
    rows: list[report.Row] = []
    for group in GROUPS:
        own: list[report.Row] = []
        for picture, image in read_group(group).items():
            print(f"{group}, {picture} ...", file=sys.stderr, flush=True)
            for n_colors in options.k:
                measured = measure(image, n_colors)
                own += [{"group": group, "picture": picture, **row} for row in measured]
        add_equal_bytes(own)
        rows += own
    report.publish(options, table(rows), rows)


if __name__ == "__main__":
    main()
