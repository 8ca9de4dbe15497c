"""What a palette costs beside JPEG, WebP and AVIF of the same look, for photos that come as JPEG.

    python bench/other_formats.py [--json bench/results/other_formats.json]

It takes a few minutes, nearly all of it for the metric. Needs ssimulacra2 (in the group `peers`),
a Pillow with AVIF and ../shared/photos. Of each photo, fastkq writes a PNG and a lossless WebP, and
Pillow the other formats at the quality whose SSIMULACRA2 is nearest to that of fastkq's. All are
measured against the decoded source, which the JPEG has its own losses behind.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import report
from PIL import Image, features
from pictures import PHOTOS, photo

import fastkq

PICTURES = ("louvre", "akihabara", "hokkaido", "futuristic")
WIDTH = 960  # to which the photos are scaled down, so that the metric takes seconds
SOURCE_QUALITY = 90
OTHERS: dict[str, tuple[str, dict[str, object]]] = {
    "JPEG": ("JPEG", {"optimize": True, "progressive": True}),
    "WebP, lossy": ("WEBP", {"method": 6}),
    "AVIF": ("AVIF", {"speed": 6}),
}
PACKAGES = ("pillow", "ssimulacra2")


def score(image: np.ndarray, data: bytes) -> float:
    """Return the SSIMULACRA2 of a file, 100 for the image itself."""
    from ssimulacra2 import compute_ssimulacra2

    original, shown = io.BytesIO(), io.BytesIO()
    Image.fromarray(image).save(original, "PNG", compress_level=1)
    with Image.open(io.BytesIO(data)) as decoded:
        decoded.convert("RGB").save(shown, "PNG", compress_level=1)
    for file in (original, shown):
        file.seek(0)
    return float(compute_ssimulacra2(original, shown))


def encode(image: np.ndarray, kind: str, quality: int) -> bytes:
    """Return an image in one of the other formats."""
    name, options = OTHERS[kind]
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, name, quality=quality, **options)
    return buffer.getvalue()


def find_nearest(image: np.ndarray, kind: str, wanted: float) -> tuple[int, bytes, float]:
    """Return the quality whose score is nearest to the wanted one, its file and its score.

    The score rises with the quality but for small steps, so halving finds it.
    """
    low, high = 1, 100
    tried: dict[int, tuple[bytes, float]] = {}
    while low <= high:
        quality = (low + high) // 2
        data = encode(image, kind, quality)
        tried[quality] = data, score(image, data)
        if tried[quality][1] < wanted:
            low = quality + 1
        else:
            high = quality - 1
    best = min(tried, key=lambda quality: abs(tried[quality][1] - wanted))
    return best, *tried[best]


def as_source(image: np.ndarray) -> bytes:
    """Return the JPEG that a photo comes as."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=SOURCE_QUALITY)
    return buffer.getvalue()


def scale(image: np.ndarray) -> np.ndarray:
    """Return a photo at a width that a page shows it at."""
    height = round(image.shape[0] * WIDTH / image.shape[1])
    return np.asarray(Image.fromarray(image).resize((WIDTH, height), Image.Resampling.LANCZOS))


def compare(picture: str, image: np.ndarray, n_colors: int) -> list[report.Row]:
    """Return the sizes and scores of a picture as fastkq and the others write it."""
    source = as_source(image)
    with Image.open(io.BytesIO(source)) as decoded:
        image = np.asarray(decoded.convert("RGB"))
    about = {"picture": picture, "K": n_colors, "source_bytes": len(source)}
    result = fastkq.quantize(image, n_colors, color_space="oklab", dither="adaptive")
    png, webp = (result.encode(format, optimize=True) for format in ("png", "webp"))
    wanted = score(image, png)
    rows: list[report.Row] = [
        about | {"format": "fastkq PNG", "bytes": len(png), "ssimulacra2": wanted},
        about | {"format": "fastkq WebP", "bytes": len(webp), "ssimulacra2": wanted},
    ]
    for kind in OTHERS:
        quality, data, found = find_nearest(image, kind, wanted)
        facts = {"format": kind, "quality": quality, "bytes": len(data), "ssimulacra2": found}
        rows.append(about | facts)
    return rows


def table(rows: list[report.Row]) -> str:
    """Return the rows as Markdown."""
    lines = [
        [
            f"{row['picture']}, K = {row['K']}",
            str(row["format"]),
            str(row.get("quality", "")),
            f"{row['bytes'] / 1e3:.1f}",
            f"{row['ssimulacra2']:.1f}",
        ]
        for row in rows
    ]
    return report.markdown(["picture", "format", "quality", "kB", "SSIMULACRA2"], lines)


def main() -> None:
    """Measure, print and store."""
    parser = report.arguments(__doc__)
    parser.add_argument("--k", nargs="+", type=int, default=[64, 256])
    options = parser.parse_args()
    if not Path(PHOTOS).is_dir():
        parser.error(f"{PHOTOS}: no such folder")
    if not features.check("avif"):
        parser.error("this Pillow cannot write AVIF")
    rows: list[report.Row] = []
    for picture in PICTURES:
        image = scale(photo(PHOTOS / "photo2mp" / f"{picture}.jpg"))
        for n_colors in options.k:
            print(f"{picture}, {n_colors} colors ...", file=sys.stderr, flush=True)
            rows += compare(picture, image, n_colors)
    report.publish(options, table(rows), rows, PACKAGES)


if __name__ == "__main__":
    main()
