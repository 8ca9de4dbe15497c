"""What alpha costs in time and memory, and what a soft shadow gets of the palette.

    python bench/alpha.py [--json bench/results/alpha.json]

A photo of 24 MP as it is, with soft edges all around and with an alpha that falls from left to
right, so that no pixel of a row is like the next: time of `quantize` at 256 colors and of its
stages, plain and dithered, in turns, and the memory that a fresh process takes beyond the picture.
Then a photo with a soft drop shadow at 256 colors, beside `effort="best"` and imagequant: the error
over black and over white, halved, and how many levels of alpha are left. Without ../shared/photos
synthetic pictures take the place of the photos.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import report
from pictures import PHOTOS, photo, synthetic
from PIL import Image, ImageDraw, ImageFilter
from scaling import measure_memory
from stages import in_turns

import fastkq
from fastkq.engine.fit import fit_histogram
from fastkq.engine.model import FitOptions
from fastkq.install.warmup import warm_up
from fastkq.paint.dither import Dithering
from fastkq.paint.labels import Labeler

N_COLORS = 256
REPEAT = 5
DITHERED = 2  # turns
EDGE = 60  # pixels over which the edges fade
WAYS: dict[str, dict[str, str]] = {
    "nearest": {},
    "Oklab": {"color_space": "oklab"},
    "diffusion": {"dither": "diffusion"},
    "adaptive": {"dither": "adaptive"},
    "ordered": {"dither": "ordered"},
}


def with_alphas(image: np.ndarray) -> dict[str, np.ndarray]:
    """Return a picture with three kinds of alpha."""
    height, width = image.shape[:2]
    y, x = np.arange(height)[:, None], np.arange(width)
    inside = np.minimum(np.minimum(y, height - 1 - y), np.minimum(x, width - 1 - x))
    soft = np.clip(inside * 255 // EDGE, 0, 255).astype(np.uint8)
    falling = np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8), (height, width))
    return {
        "opaque": image,
        "soft edges": np.dstack([image, soft]),
        "alpha everywhere": np.dstack([image, falling]),
    }


def stages_of(image: np.ndarray) -> dict[str, Callable[[], object]]:
    """Return the stages of `quantize` as calls."""
    histogram = fastkq.color_histogram(image)
    fit = fit_histogram(histogram, FitOptions(N_COLORS))
    labeler = Labeler(fit, Dithering(), image.shape[2])
    return {
        "histogram": lambda: fastkq.color_histogram(image),
        "fit": lambda: fit_histogram(histogram, FitOptions(N_COLORS)),
        "labels": lambda: labeler.label(image),
    }


def times(image: np.ndarray) -> list[report.Row]:
    """Return the time of each way to quantize each kind, as a multiple of the opaque one's."""
    rows: list[report.Row] = []
    kinds = with_alphas(image)
    for way, options in WAYS.items():
        calls = {
            kind: lambda each=each, options=options: fastkq.quantize(each, N_COLORS, **options)
            for kind, each in kinds.items()
        }
        turns = DITHERED if "dither" in options else REPEAT
        least = {kind: min(values) for kind, values in in_turns(calls, turns).items()}
        rows.extend(
            {"what": way, "kind": kind, "ms": ms, "times opaque": ms / least["opaque"]}
            for kind, ms in least.items()
        )
    for kind, each in kinds.items():
        for stage, values in in_turns(stages_of(each), REPEAT).items():
            rows.append({"what": f"stage: {stage}", "kind": kind, "ms": min(values)})
    return rows


def memory(image: np.ndarray) -> list[report.Row]:
    """Return the bytes a pixel that a fresh process takes beyond each kind of picture."""
    rows: list[report.Row] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.npy"
        for kind, each in with_alphas(image).items():
            np.save(path, each)
            arguments = [sys.executable, __file__, "--measure-memory", str(path)]
            run = subprocess.run(arguments, capture_output=True, text=True, check=True)
            extra = json.loads(run.stdout)["extra_mb"] * 1e6 / each[..., 0].size
            rows.append({"what": "memory", "kind": kind, "bytes a pixel": extra})
    return rows


def shadow(image: np.ndarray) -> np.ndarray:
    """Return a picture with round corners over its soft shadow, (260, 420, 4)."""

    def box(top: int) -> Image.Image:
        mask = Image.new("L", (420, 260), 0)
        ImageDraw.Draw(mask).rounded_rectangle((60, top, 360, top + 160), 20, fill=255)
        return mask

    soft = np.asarray(box(40).filter(ImageFilter.GaussianBlur(18)))
    result = np.zeros((260, 420, 4), np.uint8)
    result[..., 3] = (soft * 0.6).astype(np.uint8)
    inside = np.asarray(box(34)) > 0
    result[inside, :3] = np.asarray(Image.fromarray(image).resize((420, 260)))[inside]
    result[inside, 3] = 255
    return result


def error(image: np.ndarray, other: np.ndarray) -> float:
    """Return the squared error a pixel over black and over white, halved."""

    def over(rgba: np.ndarray, level: int) -> np.ndarray:
        alpha = rgba[..., 3:] / 255
        return rgba[..., :3] * alpha + level * (1 - alpha)

    differences = [over(image, level) - over(other, level) for level in (0, 255)]
    return float(sum(np.sum(each**2) for each in differences) / 2 / image[..., 0].size)


def compare_shadow(image: np.ndarray) -> list[report.Row]:
    """Return the error and the levels of alpha of each quantizer."""
    found = {
        "fastkq": fastkq.quantize(image, N_COLORS).to_array(),
        "fastkq best": fastkq.quantize(image, N_COLORS, effort="best").to_array(),
        "fastkq oklab": fastkq.quantize(image, N_COLORS, color_space="oklab").to_array(),
        "fastkq diffusion": fastkq.quantize(image, N_COLORS, dither="diffusion").to_array(),
    }
    try:
        import imagequant
    except ImportError:
        pass
    else:
        by_imagequant = imagequant.quantize_pil_image(
            Image.fromarray(image), dithering_level=0, max_colors=N_COLORS
        )
        found["imagequant"] = np.asarray(by_imagequant.convert("RGBA"))
    return [
        {
            "what": "shadow",
            "kind": name,
            "MSE": error(image, result),
            "alpha levels": len(np.unique(result[..., 3])),
        }
        for name, result in found.items()
    ]


def table(rows: list[report.Row]) -> str:
    """Return the rows as Markdown."""
    columns = ("ms", "times opaque", "bytes a pixel", "MSE", "alpha levels")
    header = ["what", "picture or tool", *columns]
    lines = [
        [
            str(row["what"]),
            str(row["kind"]),
            *(f"{row[column]:.4g}" if column in row else "" for column in columns),
        ]
        for row in rows
    ]
    return report.markdown(header, lines)


def main() -> None:
    """Measure, print and store."""
    parser = report.arguments(__doc__)
    options = parser.parse_args()
    warm_up()
    found = photo(PHOTOS / "large" / "louvre-24mp.jpg")
    large = synthetic(4000, 6000) if found is None else found
    kodim = photo(Path(__file__).parents[1] / "tests" / "images" / "kodim03.png")
    rows = [*compare_shadow(shadow(kodim)), *memory(large), *times(large)]
    report.publish(options, table(rows), rows, ("imagequant", "pillow"))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure-memory"]:
        print(json.dumps(measure_memory(sys.argv[2], N_COLORS, 2)))
    else:
        main()
