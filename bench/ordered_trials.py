"""How the constants of ordered dithering were chosen: trials on pictures that judge nothing else.

    python bench/ordered_trials.py [--json bench/results/ordered_trials.json]

It takes about two minutes. Needs ../shared/photos, and scikit-learn and matplotlib for their sample
pictures. Scores are SSIMULACRA2 above `quantette_method` with as many colors, and in as many bytes,
as `bench/dithering.py` counts them; means over nine pictures that are not among its own. "Off" is
how far the mean of a flat patch is from its color at most, as a share of the way between the two
entries that it is mixed of. "From afar" is the squared error of means of 4x4 pixels in Oklab, as a
share of that of the nearest entries; the geometric mean over pictures and both numbers of colors.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import quantette_method
import report
import sklearn
from dithering import RIVAL, add_equal_bytes
from pictures import PHOTOS
from PIL import Image

import fastkq
from fastkq.colors.spaces import to_points
from fastkq.files.png import encode_indexed_png
from fastkq.paint import squares

N_COLORS = (64, 256)
SKLEARN = Path(sklearn.__file__).parent / "datasets" / "images"
MATPLOTLIB = Path(mpl.__file__).parent / "mpl-data" / "sample_data"
PICTURES = {  # and by how much they are reduced, to 0.2 to 0.6 MP
    SKLEARN / "china.jpg": 1,
    SKLEARN / "flower.jpg": 1,
    MATPLOTLIB / "grace_hopper.jpg": 1,
    PHOTOS / "graphics" / "photo-city.png": 1,
    PHOTOS / "graphics" / "photo-flowers.png": 1,
    PHOTOS / "graphics" / "photo-sunset.png": 1,
    PHOTOS / "large" / "craft-beer-24mp.jpg": 7,
    PHOTOS / "large" / "bus-12mp-display-p3.jpg": 5,
    PHOTOS / "orientation" / "Landscape_1.jpg": 2,
}
# What of an error pixels take; the last of a square, at least and at most; chroma.
TRIALS = [
    (0.0, (0.0, 0.0), 0.85),
    *(
        (share, last, 0.85)
        for share in (0.5, 0.6, 0.7, 0.85)
        for last in ((share, share), (0.3, 0.9), (0.2, 1.2), (0.2, 1.6))
    ),
    *((share, (0.3, 0.9), chroma) for share in (0.6, 0.7) for chroma in (0.6, 0.7, 1.0)),
]


def read(path: Path, reduced: int) -> np.ndarray:
    """Return a picture (H, W, 3), reduced by a whole number."""
    image = Image.open(path).convert("RGB")
    return np.asarray(image.reduce(reduced) if reduced > 1 else image)


def row_of(
    picture: str,
    image: np.ndarray,
    mode: str,
    n_colors: int,
    labels: np.ndarray,
    palette: np.ndarray,
) -> report.Row:
    """Return what a picture shown in few colors scores, and its bytes."""
    row: report.Row = {"picture": picture, "mode": mode, "K": n_colors}
    row["bytes"] = len(encode_indexed_png(labels, palette))
    row["ssimulacra2"] = fastkq.ssimulacra2(image, palette[labels])
    return row


def off(share: float, last: tuple[float, float]) -> float:
    """Return how far the mean of two entries is from a color between them at most."""
    shares = np.linspace(0, 0.5, 201)[:, None]
    error, total = np.zeros((201, 1)), np.zeros((201, 1))
    for taken in (0.0, share, share, np.linspace(*last, 1001)[None]):
        target = shares + taken * error
        label = target > 0.5
        error = target - label
        total = total + label
    return float(np.abs((total / 4).mean(axis=1) - shares[:, 0]).max())


def far_error(image: np.ndarray, shown: np.ndarray) -> float:
    """Return the mean squared error of means of squares of 4x4 pixels in Oklab."""
    difference = to_oklab(image) - to_oklab(shown)
    height, width = (side // 4 * 4 for side in difference.shape[:2])
    parts = difference[:height, :width].reshape(height // 4, 4, width // 4, 4, 3)
    return float(np.mean(parts.mean(axis=(1, 3)) ** 2))


def to_oklab(colors: np.ndarray) -> np.ndarray:
    """Return colors (..., 3) in Oklab."""
    return to_points(colors.reshape(-1, 3), "oklab").reshape(colors.shape)


def main() -> None:
    """Measure, print and store."""
    options = report.arguments(__doc__).parse_args()
    pictures = {path.stem: read(path, reduced) for path, reduced in PICTURES.items()}
    rivals: list[report.Row] = []
    palettes = {}
    for name, image in pictures.items():
        for n in N_COLORS:
            rivals.append(row_of(name, image, RIVAL, n, *quantette_method.quantize(image, n)))
            palettes[name, n] = fastkq.fit_palette(image, n, color_space="oklab")
    rows: list[report.Row] = []
    for share, last, chroma in TRIALS:
        squares.SHARE, squares.LAST_SHARES, squares.CHROMA = share, last, chroma
        own, far = [], []
        for (name, n), palette in palettes.items():
            image = pictures[name]
            labels = fastkq.remap(image, palette, dither="ordered")
            own.append(row_of(name, image, "ordered", n, labels, palette))
            nearest = far_error(image, palette[fastkq.remap(image, palette)])
            far.append(far_error(image, palette[labels]) / nearest)
        add_equal_bytes([*rivals, *own])
        for mine, rival in zip(own, rivals, strict=True):
            mine["above"] = mine["ssimulacra2"] - rival["ssimulacra2"]
        row = {"share": share, "last": f"{last[0]:g} to {last[1]:g}", "chroma": chroma}
        row["off"] = off(share, last)
        row["from afar"] = float(np.exp(np.mean(np.log(far))))
        for n in N_COLORS:
            for name in ("above", "at equal bytes"):
                row[f"{n}: {name}"] = float(np.mean([r[name] for r in own if r["K"] == n]))
        rows.append(row)
    report.publish(options, report.markdown(list(rows[0]), [cells(row) for row in rows]), rows)


def cells(row: report.Row) -> list[str]:
    """Return a row's numbers as text."""
    signed = [f"{value:+.2f}" for name, value in row.items() if ":" in name]
    return [
        f"{row['share']:g}",
        row["last"],
        f"{row['chroma']:g}",
        f"{row['off']:.2f}",
        f"{row['from afar']:.2f}",
        *signed,
    ]


if __name__ == "__main__":
    main()
