"""Pictures for benchmarks: synthetic ones that need no files, and real photos where present."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

PHOTOS = Path(__file__).parents[2] / "shared" / "photos"
SIZES = {"0.4 MP": (512, 768), "2.4 MP": (1280, 1920), "24 MP": (4000, 6000)}
N_OCTAVES = 7


@cache
def synthetic(height: int, width: int) -> np.ndarray:
    """Return an image (H, W, 3) uint8 with the statistics of a photo.

    Octaves of smoothed noise, strong in brightness and weak in color, with a little noise a pixel:
    24 MP have about 0.5 million distinct colors, as photos of that size do (0.2 to 0.7 million).
    """
    rng = np.random.default_rng(0)
    brightness = _octaves(height, width, rng) * 110 + 120
    image = np.empty((height, width, 3), np.uint8)
    for channel in range(3):
        tint = _octaves(height, width, rng) * 35
        noise = rng.standard_normal((height, width), np.float32) * 1.5
        image[..., channel] = np.clip(brightness + tint + noise, 0, 255)
    return image


def _octaves(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Return smooth noise (H, W) float32 of about unit range: details at half size weigh half."""
    total = np.zeros((height, width), np.float32)
    for octave in range(N_OCTAVES):
        cells = 3 << octave
        grid = rng.uniform(-1, 1, (cells, cells * 3 // 2)).astype(np.float32)
        smooth = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(smooth) / 2**octave
    return total / 1.2


@cache
def photo(name: str) -> np.ndarray | None:
    """Return a photo of the collection as (H, W, 3) uint8, or None where it is not present."""
    path = PHOTOS / name
    if not path.exists():
        return None
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
