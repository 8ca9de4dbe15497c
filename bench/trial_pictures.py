"""Pictures that the constants of dithering are tried on, which judge nothing else.

Scores are SSIMULACRA2 above `quantette_method` with as many colors, and in as many bytes, as
`bench/dithering.py` counts them; means over nine pictures that are not among its own. They need
../shared/photos, and scikit-learn and matplotlib for their sample pictures.
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
from fastkq.files.png import encode_indexed_png

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


class Trials:
    """The pictures, palettes fitted to them, and what the rival makes of them.

    Attributes
    ----------
    palettes : dict[tuple[str, int], (K, 3) uint8], by picture and number of colors
    """

    def __init__(self) -> None:
        self.pictures = {path.stem: read(path, reduced) for path, reduced in PICTURES.items()}
        self.palettes: dict[tuple[str, int], np.ndarray] = {}
        self._rivals: list[report.Row] = []
        for name, image in self.pictures.items():
            for n in N_COLORS:
                labels, palette = quantette_method.quantize(image, n)
                self._rivals.append(row_of(name, image, RIVAL, n, labels, palette))
                self.palettes[name, n] = fastkq.fit_palette(image, n, color_space="oklab")

    def compare(self, shown: dict[tuple[str, int], np.ndarray]) -> dict[str, float]:
        """Return by how much labels (H, W) are above the rival, by picture and number of colors."""
        own = [
            row_of(name, self.pictures[name], "own", n, labels, self.palettes[name, n])
            for (name, n), labels in shown.items()
        ]
        add_equal_bytes([*self._rivals, *own])
        for mine, rival in zip(own, self._rivals, strict=True):
            mine["above"] = mine["ssimulacra2"] - rival["ssimulacra2"]
        return {
            f"{n}: {name}": float(np.mean([row[name] for row in own if row["K"] == n]))
            for n in N_COLORS
            for name in ("above", "at equal bytes")
        }
