"""Bytes at equal look: curves of fastkq's `lossy` against pngquant, by SSIMULACRA 2.

    python bench/rate.py [--groups kodak ...] [--json bench/results/rate.json]

It takes about ten minutes. With `--groups`, the file keeps what it has of the others. Needs the
group `peers` and ../shared/photos. pngquant writes each picture with 256, 128 and 64 colors; fastkq
with a palette of 256 colors, of drawings also of 128 and 64, in Oklab, with masking, at several
values of `lossy`. Its bytes at pngquant's score lie on the line between two of these; where the
highest score of fastkq is below that of pngquant, on the line beyond; where the lowest is above,
its bytes count. Pictures that pngquant shows exactly are left out. Pictures with alpha are looked
at over middle gray. Butteraugli (where libjxl's `butteraugli_main` is) and FLIP are compared at
pngquant's bytes, or just below.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import report
from pictures import PHOTOS
from PIL import Image
from quality import lay_on

import fastkq
from fastkq.files.png import encode_indexed_png

GROUPS = ("kodak", "cq100", "photo2mp", "graphics", "alpha")
WITH_ALPHA, GRAY = "alpha", 128
DRAWN = ("graphics", "alpha")  # where 128 or 64 colors may be the better way to fewer bytes
N_COLORS = (256, 128, 64)
LOSSY = (5, 20, 40, 60, 85, 120)
WRITERS = ("default", "optimize", "webp")
OXIPNG_LEVEL = 4
N_HALVINGS = 6
BUTTERAUGLI = shutil.which("butteraugli_main")
PACKAGES = ("pillow", "pngquant-cli", "pyoxipng", "flip-evaluator")

Point = tuple[float, float]  # bytes and score


def pngquant(data: bytes, n_colors: int) -> bytes:
    """Return a PNG as pngquant writes it by default."""
    program = str(Path(sys.executable).with_name("pngquant"))
    run = subprocess.run(
        [program, str(n_colors), "-"], input=data, stdout=subprocess.PIPE, check=True
    )
    return run.stdout


def as_png(image: np.ndarray) -> bytes:
    """Return an image as a PNG, hardly compressed."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def decode(data: bytes, mode: str) -> np.ndarray:
    """Return the pixels of a file, (H, W, 3) or (H, W, 4)."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert(mode))


def mode_of(image: np.ndarray) -> str:
    """Return Pillow's name for the channels of an image."""
    return "RGB" if image.shape[2] == 3 else "RGBA"


def at_score(curve: list[Point], score: float) -> float:
    """Return the bytes of a curve at a score, by lines through the logarithms of its bytes.

    Those of a lower score than any measured count as those of the lowest: no line beyond it, which
    would promise bytes that nobody has seen.
    """
    ordered = sorted((own, np.log(size)) for size, own in curve)
    scores = np.array([own for own, _ in ordered])
    logs = np.array([log for _, log in ordered])
    score = max(score, scores[0])
    right = int(np.clip(np.searchsorted(scores, score), 1, len(scores) - 1))
    rise = scores[right] - scores[right - 1]
    share = (score - scores[right - 1]) / rise if rise > 0 else 0.0
    return float(np.exp(logs[right - 1] + share * (logs[right] - logs[right - 1])))


def least_at_score(curves: list[list[Point]], score: float) -> float:
    """Return the fewest bytes at a score, of curves of several numbers of colors."""
    reaching = [curve for curve in curves if max(own for _, own in curve) >= score]
    return min(at_score(curve, score) for curve in reaching or curves[:1])


def points(image: np.ndarray, **options: object) -> dict[str, Point]:
    """Return the bytes and the score of a picture by writer."""
    result = fastkq.quantize(image, color_space="oklab", **options)
    score = fastkq.ssimulacra2(image, result.to_array())
    webp = fastkq.compress(image, format="webp", color_space="oklab", **options)
    return {
        "default": (len(result.encode()), score),
        "optimize": (len(result.encode(optimize=True)), score),
        "webp": (len(webp), fastkq.ssimulacra2(image, decode(webp, mode_of(image)))),
    }


def butteraugli(original: np.ndarray, shown: np.ndarray) -> float:
    """Return the 3-norm of libjxl's butteraugli, or nan without the program."""
    if BUTTERAUGLI is None:
        return float("nan")
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{name}.png" for name in ("original", "shown")]
        for path, image in zip(paths, (original, shown), strict=True):
            Path(path).write_bytes(as_png(lay_on(image, GRAY)))
        run = subprocess.run([BUTTERAUGLI, *paths], capture_output=True, text=True, check=True)
    return float(re.search(r"3-norm: *([\d.]+)", run.stdout)[1])


def flip(original: np.ndarray, shown: np.ndarray) -> float:
    """Return the mean of FLIP."""
    from flip_evaluator import evaluate

    images = [lay_on(image, GRAY).astype(np.float32) / 255 for image in (original, shown)]
    return float(evaluate(*images, "LDR")[1])


def at_bytes(image: np.ndarray, palette: np.ndarray, most: int) -> np.ndarray:
    """Return the picture with the least `lossy` whose file takes at most so many bytes."""
    low, high = 0.0, 100.0
    for _ in range(N_HALVINGS):
        middle = (low + high) / 2
        labels = fastkq.remap(image, palette, lossy=middle)
        if len(encode_indexed_png(labels, palette)) > most:
            low = middle
        else:
            high = middle
    return palette[fastkq.remap(image, palette, lossy=high)]


def measure(path: Path, group: str) -> list[report.Row]:
    """Return the rows of a picture, one for each number of colors of pngquant."""
    import oxipng

    with Image.open(path) as opened:
        image = np.asarray(opened.convert("RGBA" if group == WITH_ALPHA else "RGB"))
    curves: dict[str, list[list[Point]]] = {writer: [] for writer in WRITERS}
    adaptive: dict[str, list[Point]] = {writer: [] for writer in WRITERS}
    for n_colors in N_COLORS if group in DRAWN else N_COLORS[:1]:
        for curve in curves.values():
            curve.append([])
        for lossy in LOSSY:
            found = points(image, n_colors=n_colors, lossy=lossy, masking=True)
            for writer, point in found.items():
                curves[writer][-1].append(point)
    palette = fastkq.fit_palette(image, color_space="oklab", masking=True)
    rows: list[report.Row] = []
    for n_colors in N_COLORS:
        for writer, point in points(image, n_colors=n_colors, dither="adaptive").items():
            adaptive[writer].append(point)
        data = pngquant(as_png(image), n_colors)
        theirs = decode(data, mode_of(image))
        score = fastkq.ssimulacra2(image, theirs)
        small = len(oxipng.optimize_from_memory(data, level=OXIPNG_LEVEL))
        row: report.Row = {
            "group": group,
            "picture": path.stem,
            "K": n_colors,
            "pngquant bytes": len(data),
            "oxipng bytes": small,
            "ssimulacra2": score,
        }
        if np.array_equal(lay_on(theirs, GRAY), lay_on(image, GRAY)):
            rows.append(row)
            continue
        for writer, curve in curves.items():
            row[writer] = least_at_score(curve, score) / len(data)
        row["optimize / oxipng"] = least_at_score(curves["optimize"], score) / small
        ours = at_bytes(image, palette, len(data))
        row["butteraugli"] = butteraugli(image, ours) / butteraugli(image, theirs)
        row["flip"] = flip(image, ours) / flip(image, theirs)
        row["gain"] = fastkq.ssimulacra2(image, ours) - score
        if n_colors == max(N_COLORS):
            row["curves"] = {writer: own[0] for writer, own in curves.items()}
        rows.append(row)
    for row, *own in zip(rows, *adaptive.values(), strict=True):
        for writer, (size, score) in zip(WRITERS, own, strict=True):
            row[f"{writer} / adaptive"] = least_at_score(curves[writer], score) / size
    return rows


def mean(rows: list[report.Row], key: str) -> float:
    """Return the geometric mean of a ratio over the rows that have it."""
    known = [row[key] for row in rows if key in row]
    return float(np.exp(np.mean(np.log([ratio for ratio in known if ratio > 0]))))  # 0: exact


def table(rows: list[report.Row]) -> str:
    """Return the means by group as Markdown."""
    keys = [*WRITERS, "optimize / oxipng", "default / adaptive", "webp / adaptive", "butteraugli"]
    lines = [
        [
            group,
            *(f"{mean([row for row in rows if row['group'] == group], key):.3f}" for key in keys),
        ]
        for group in GROUPS
        if any(row["group"] == group for row in rows)
    ]
    return report.markdown(
        ["group", *keys], [*lines, ["all", *(f"{mean(rows, k):.3f}" for k in keys)]]
    )


def main() -> None:
    """Measure, print and store."""
    parser = report.arguments(__doc__)
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=GROUPS)
    options = parser.parse_args()
    pictures = [
        (path, group)
        for group in options.groups
        for path in sorted((PHOTOS / group).iterdir())
        if path.suffix in (".png", ".jpg")
    ]
    rows: list[report.Row] = []
    if options.json and options.json.exists():
        known = json.loads(options.json.read_text(encoding="utf-8"))["rows"]
        rows = [row for row in known if row["group"] not in options.groups]
    with ProcessPoolExecutor() as pool:
        for (path, _), own in zip(
            pictures, pool.map(measure, *zip(*pictures, strict=True)), strict=True
        ):
            print(path.name, [round(row.get("default", 1.0), 3) for row in own], flush=True)
            rows.extend(own)
    report.publish(options, table(rows), rows, PACKAGES)


if __name__ == "__main__":
    main()
