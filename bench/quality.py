"""How pictures look at a number of colors and at a number of bytes, beside other quantizers.

    python bench/quality.py [--json bench/results/quality.json] [--k 64 256] [--groups kodak ...]

It takes about 45 minutes, nearly all of it for the metrics.
Needs flip-evaluator (in the group `peers`) and ../shared/photos. Each tool does
each picture once; its file is its own, or fastkq's writer's where it gives labels. Errors are means
over the pictures of a group:

- MSE: squared error a pixel, summed over R, G and B; PSNR of each picture, in dB;
- SSIMULACRA2, by `fastkq.ssimulacra2`: 100 is perfect, 70 is high and 50 medium quality;
- FLIP (Andersson et al. 2020, doi:10.1145/3406183): the difference that is seen when flipping
  between two pictures, in percent; less is better;
- pictures with transparency: means over a black and a white background;
- "as by default" is what `fastkq.compress` and the command choose unless told otherwise;
- at equal bytes: SSIMULACRA2 of fastkq, dithered or as by default, with the most colors, up to K,
  whose file is no larger than pngquant's.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import report
from contenders import (
    Contender,
    make_fastkq,
    make_imagequant,
    make_pillow,
    make_pngquant,
    make_sklearn,
)
from kodak import read_kodak
from pictures import PHOTOS, photo
from PIL import Image

import fastkq
from fastkq.colors.metrics import psnr_from_mse
from fastkq.defaults import choose_look

RIVAL = "pngquant"
TOOLS: dict[str, Callable[[], Contender]] = {
    "fastkq": make_fastkq,
    "fastkq best": partial(make_fastkq, effort="best"),
    "fastkq oklab": partial(make_fastkq, color_space="oklab"),
    "fastkq adaptive": partial(make_fastkq, dither="adaptive"),
    "fastkq oklab, adaptive": partial(make_fastkq, color_space="oklab", dither="adaptive"),
    "fastkq as by default": partial(make_fastkq, **choose_look({"masking": True})),
    "imagequant, undithered": make_imagequant,
    "scikit-learn KMeans, 10k sample": make_sklearn,
    "Pillow FASTOCTREE": partial(make_pillow, "FASTOCTREE"),
    "Pillow MEDIANCUT": partial(make_pillow, "MEDIANCUT"),
    RIVAL: partial(make_pngquant, dither=True),
}
GROUPS = {
    "kodak": "kodim*.png",
    "cq100": "*.png",
    "photo2mp": "*.jpg",
    "graphics": "*.png",
    "alpha": "*.png",
}
# What pictures with transparency are looked at on; their errors are means over these.
BACKGROUNDS = (0, 255)
WITH_ALPHA = ("fastkq", "fastkq adaptive", "fastkq as by default", RIVAL)
AT_BYTES = ("fastkq adaptive", "fastkq oklab, adaptive", "fastkq as by default")
FEWER = 0.94  # of the colors, from trial to trial at equal bytes
LEAST_COLORS = 16
PACKAGES = ("flip-evaluator", "pillow", "imagequant", "pngquant-cli", "scikit-learn")


def read_group(name: str) -> dict[str, np.ndarray]:
    """Return the pictures of a group by name."""
    folder = PHOTOS / name
    if name == "kodak":
        return {f"kodim{i:02}": image for i, image in enumerate(read_kodak(folder), 1)}
    read = read_with_alpha if name == "alpha" else photo
    found = {path.stem: read(path) for path in sorted(folder.glob(GROUPS[name]))}
    return {stem: image for stem, image in found.items() if image is not None}


def read_with_alpha(path: Path) -> np.ndarray:
    """Return a picture as (H, W, 4) uint8."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGBA"))


def lay_on(image: np.ndarray, level: int) -> np.ndarray:
    """Return an image (H, W, 3), that of one with alpha on a gray of a level."""
    if image.shape[2] == 3:
        return image
    share = image[..., 3:] / np.float32(255)
    return np.rint(share * image[..., :3] + (1 - share) * level).astype(np.uint8)


def measure(image: np.ndarray, shown: np.ndarray, at: str) -> report.Row:
    """Return the errors of a picture, the means over backgrounds if it has alpha."""
    if image.shape[2] == 3:
        return measure_opaque(image, shown, at)
    errors = [measure_opaque(lay_on(image, b), lay_on(shown, b), at) for b in BACKGROUNDS]
    return {name: float(np.mean([each[name] for each in errors])) for name in errors[0]}


def measure_opaque(image: np.ndarray, shown: np.ndarray, at: str) -> report.Row:
    """Return the errors of an opaque picture; at equal bytes, only the one that is compared."""
    import flip_evaluator

    score = fastkq.ssimulacra2(image, shown)
    if at == "bytes":
        return {"ssimulacra2": score}
    mse = float(np.mean(np.sum((image.astype(np.float32) - shown) ** 2, axis=2)))
    _, flip, _ = flip_evaluator.evaluate(image / 255, shown / 255, "LDR")
    return {
        "mse": mse,
        "psnr": psnr_from_mse(mse),
        "ssimulacra2": score,
        "flip": 100 * float(flip),
    }


def compress(tool: Contender, image: np.ndarray, n_colors: int) -> tuple[np.ndarray, report.Row]:
    """Return what a tool shows, its bytes and its time."""
    given = tool.prepare(image)
    start = time.perf_counter()
    result = tool.run(given, n_colors)
    seconds = time.perf_counter() - start
    shown, n_bytes = tool.restore(result)
    return shown, {"bytes": n_bytes, "ms": seconds * 1e3}


def fit_bytes(tool: Contender, image: np.ndarray, n_colors: int, most: int) -> np.ndarray:
    """Return what a tool shows with the most colors whose file has at most so many bytes."""
    while True:
        shown, facts = compress(tool, image, n_colors)
        if facts["bytes"] <= most or n_colors <= LEAST_COLORS:
            return shown
        n_colors = int(n_colors * FEWER)


def compare(
    tools: dict[str, Contender], image: np.ndarray, n_colors: int
) -> Iterator[tuple[report.Row, np.ndarray]]:
    """Yield what each tool makes of a picture, and fastkq's at the bytes of its rival."""
    files = {}
    if image.shape[2] == 4:
        tools = {name: tools[name] for name in WITH_ALPHA}
    for name, tool in tools.items():
        shown, facts = compress(tool, image, n_colors)
        files[name] = facts["bytes"]
        yield {"K": n_colors, "tool": name, "at": "K"} | facts, shown
    for name, tool in tools.items():
        if name in AT_BYTES:
            shown = fit_bytes(tool, image, n_colors, files[RIVAL])
            yield {"K": n_colors, "tool": name, "at": "bytes"}, shown


def table(rows: list[report.Row]) -> str:
    """Return the means of each group, K and tool as Markdown."""
    header = ["tool", "pictures", "K", "MSE", "PSNR", "SSIMULACRA2", "FLIP", "kB", "ms"]
    header += [
        "better and smaller than pngquant",
        "SSIMULACRA2 at its bytes",
        "better at its bytes",
    ]
    lines = []
    for group, n_colors, tool in dict.fromkeys((r["group"], r["K"], r["tool"]) for r in rows):
        of_group = [r for r in rows if (r["group"], r["K"]) == (group, n_colors)]
        own = [r for r in of_group if r["tool"] == tool and r["at"] == "K"]
        fitted = [r for r in of_group if r["tool"] == tool and r["at"] == "bytes"]
        rival = {r["picture"]: r for r in of_group if r["tool"] == RIVAL}
        wins = sum(
            r["ssimulacra2"] > rival[r["picture"]]["ssimulacra2"]
            and r["bytes"] < rival[r["picture"]]["bytes"]
            for r in own
        )
        fitted_wins = sum(r["ssimulacra2"] > rival[r["picture"]]["ssimulacra2"] for r in fitted)
        scores = [[r[key] for r in own] for key in ("mse", "psnr", "ssimulacra2", "flip")]
        # A picture without any error has no PSNR.
        means = [np.mean(values, where=np.isfinite(values)) for values in scores]
        lines.append(
            [
                str(tool),
                str(group),
                str(n_colors),
                *(f"{mean:.2f}" for mean in means),
                f"{np.mean([r['bytes'] for r in own]) / 1e3:.1f}",
                f"{np.mean([r['ms'] for r in own]):.0f}",
                "" if tool == RIVAL else f"{wins} of {len(own)}",
                f"{np.mean([r['ssimulacra2'] for r in fitted]):.2f}" if fitted else "",
                f"{fitted_wins} of {len(fitted)}" if fitted else "",
            ]
        )
    return report.markdown(header, lines)


def main() -> None:
    """Measure, print and store."""
    parser = report.arguments(__doc__)
    parser.add_argument("--k", nargs="+", type=int, default=[64, 256])
    parser.add_argument("--groups", nargs="+", choices=list(GROUPS), default=list(GROUPS))
    options = parser.parse_args()
    if not Path(PHOTOS).is_dir():
        parser.error(f"{PHOTOS}: no such folder")
    tools = {name: make() for name, make in TOOLS.items()}
    for tool in tools.values():
        compress(tool, np.zeros((300, 300, 3), np.uint8), 16)  # warm up
    rows = []
    with ProcessPoolExecutor() as pool:
        for group in options.groups:
            for picture, image in read_group(group).items():
                print(f"{group}, {picture} ...", file=sys.stderr, flush=True)
                for n_colors in options.k:
                    facts, shown = zip(*compare(tools, image, n_colors), strict=True)
                    errors = pool.map(partial(measure, image), shown, [f["at"] for f in facts])
                    about = {"group": group, "picture": picture}
                    rows += [about | f | e for f, e in zip(facts, errors, strict=True)]
    report.publish(options, table(rows), rows, PACKAGES)


if __name__ == "__main__":
    main()
