"""Pictures for benchmarks: synthetic ones that need no files, and real photos where present.

The synthetic ones keep what costs a quantizer its time: the number of distinct colors, how many
cells of the color cube they occupy, how often neighbours are alike, and how long K-means takes to
settle. They are not pretty, and errors on them mean nothing; for errors there are real photos.

| picture | distinct colors | occupied cells of 8x8x8 colors | iterations at 256 |
|---|---|---|---|
| synthetic, 0.4 MP | 123 k | 4,100 | 13 |
| Kodak 01-12, 0.4 MP | 13-64 k | 1,100-5,500 | 6-13 |
| synthetic, 2.4 MP | 261 k | 4,600 | 11 |
| four photos of 2.4 MP | 93-687 k | 3,300-26,000 | 5-11 |
| synthetic, 24 MP | 453 k | 5,000 | 11 |
| louvre and craft-beer, 24 MP | 616 k, 457 k | 10,700, 8,000 | 11, 7 |
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

PHOTOS = Path(__file__).parents[2] / "shared" / "photos"
SIZES = {"0.4 MP": (512, 768), "2.4 MP": (1280, 1920), "24 MP": (4000, 6000)}

N_MATERIALS = 48
COLORFULNESS = 0.25  # standard deviation of a material's channels around gray
CONTRAST = 75
TINT = 30  # of rare, saturated spots
NOISE = 0.5  # of the sensor, in brightness and again in each channel
STRIP = 64  # rows made at a time: whole-image temporaries took longer than the arithmetic


def synthetic(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return an image (H, W, 3) uint8 with the statistics of a photo, the same each time.

    Regions of one material each under uneven light, a little of a smooth tint and noise: as in a
    photo, colors lie thick along a few lines of brightness and thin around them.
    """
    rng = np.random.default_rng(seed)
    materials = rng.standard_normal((N_MATERIALS, 3)).astype(np.float32) * COLORFULNESS
    materials += 1 - materials.mean(axis=1, keepdims=True)
    sky = np.linspace(150, 90, height, dtype=np.float32)[:, None]
    light = _octaves(height, width, 7, rng)
    regions = _octaves(height, width, 5, rng)
    tint = _octaves(height, width, 6, rng)

    image = np.empty((height, width, 3), np.uint8)
    for start in range(0, height, STRIP):
        rows = slice(start, start + STRIP)
        brightness = sky[rows] + CONTRAST * light[rows]
        brightness += NOISE * rng.standard_normal(brightness.shape, np.float32)
        material = (regions[rows] * (N_MATERIALS / 4)).astype(np.intp) % N_MATERIALS
        spots = TINT * tint[rows] ** 5
        for channel, share in enumerate((1, -0.3, -1)):
            values = brightness * materials[:, channel][material] + share * spots
            values += NOISE * rng.standard_normal(values.shape, np.float32)
            image[rows, :, channel] = np.clip(values, 0, 255)
    return image


def _octaves(height: int, width: int, n_octaves: int, rng: np.random.Generator) -> np.ndarray:
    """Return smooth noise (H, W) float32 of about -1.5 to 1.5; details half as large weigh half."""
    total = np.zeros((3, 4), np.float32)
    for octave in range(n_octaves):
        rows, columns = 3 << octave, (9 << octave) // 2
        total = _resize(total, rows, columns)
        total = total + rng.uniform(-1, 1, (rows, columns)).astype(np.float32) / 2**octave
    return _resize(total, height, width)


def _resize(values: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC))


@cache
def picture(name: str) -> np.ndarray | None:
    """Return the picture of a size in `SIZES`, or a photo by its path, or None if it is absent."""
    return synthetic(*SIZES[name]) if name in SIZES else photo(PHOTOS / name)


def photo(path: Path) -> np.ndarray | None:
    """Return a photo as (H, W, 3) uint8, or None where there is no such file."""
    if not path.exists():
        return None
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def palette_of(image: np.ndarray, n_colors: int) -> np.ndarray:
    """Return distinct colors (K, 3) uint8 spread over those of the image, without any K-means."""
    pixels = image.reshape(-1, 3)
    colors = np.unique(pixels[:: max(1, len(pixels) // 50_000)], axis=0)
    return colors[np.linspace(0, len(colors) - 1, n_colors).astype(int)]
