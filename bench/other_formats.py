"""What a palette costs beside JPEG, WebP and AVIF of the same look, for photos that come as JPEG.

    python bench/other_formats.py [--json bench/results/other_formats.json]

It takes a minute or two. Needs a Pillow with AVIF and ../shared/photos. Of each photo, fastkq
writes a PNG and a lossless WebP, and Pillow the other formats at the quality whose SSIMULACRA2 is
nearest to that of fastkq's. All are measured against the decoded source, whose own losses nobody
sees here.
"""

from __future__ import annotations

import io
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import report
from pictures import PHOTOS, photo
from PIL import Image, features

import fastkq
from fastkq.defaults import choose_look

PICTURES = ("louvre", "akihabara", "hokkaido", "futuristic")
QUALITIES = (5, 98)
OTHERS: dict[str, tuple[str, dict[str, object]]] = {
    "JPEG": ("JPEG", {"optimize": True, "progressive": True}),
    "WebP, lossy": ("WEBP", {"method": 6}),
    "AVIF": ("AVIF", {"speed": 6}),
}
PACKAGES = ("pillow",)


def score(image: np.ndarray, data: bytes) -> float:
    """Return the SSIMULACRA2 of a file, 100 for the image itself."""
    with Image.open(io.BytesIO(data)) as decoded:
        return fastkq.ssimulacra2(image, np.asarray(decoded.convert("RGB")))


def encode(image: np.ndarray, kind: str, quality: int) -> bytes:
    """Return an image in one of the other formats."""
    name, options = OTHERS[kind]
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, name, quality=quality, **options)
    return buffer.getvalue()


def find_nearest(image: np.ndarray, kind: str, wanted: list[float]) -> list[report.Row]:
    """Return, for each wanted score, the quality with the nearest one, its bytes and its score.

    The score rises with the quality but for small steps, so halving finds it.
    """
    tried: dict[int, tuple[int, float]] = {}
    for goal in wanted:
        low, high = QUALITIES
        while low <= high:
            quality = (low + high) // 2
            if quality not in tried:
                data = encode(image, kind, quality)
                tried[quality] = len(data), score(image, data)
            if tried[quality][1] < goal:
                low = quality + 1
            else:
                high = quality - 1
    rows: list[report.Row] = []
    for goal in wanted:
        best = min(tried, key=lambda quality: abs(tried[quality][1] - goal))
        n_bytes, found = tried[best]
        rows.append({"format": kind, "quality": best, "bytes": n_bytes, "ssimulacra2": found})
    return rows


def compress(image: np.ndarray, n_colors: int) -> list[report.Row]:
    """Return what fastkq writes by default, with `optimize`; its formats show the same."""
    result = fastkq.quantize(image, n_colors, **choose_look({}))
    png, webp = (result.encode(format, optimize=True) for format in ("png", "webp"))
    seen = score(image, png)
    return [
        {"format": name, "bytes": len(data), "ssimulacra2": seen}
        for name, data in (("fastkq PNG", png), ("fastkq WebP", webp))
    ]


def compare(pool: ProcessPoolExecutor, path: Path, n_colors: list[int]) -> list[report.Row]:
    """Return the sizes and scores of a photo as fastkq and the others write it."""
    image = photo(path)
    own = [compress(image, k) for k in n_colors]
    wanted = [float(str(rows[0]["ssimulacra2"])) for rows in own]
    others = list(pool.map(partial(find_nearest, image, wanted=wanted), OTHERS))
    about = {"picture": path.stem, "source_bytes": path.stat().st_size}
    return [
        about | {"K": k} | row
        for i, k in enumerate(n_colors)
        for row in [*own[i], *(found[i] for found in others)]
    ]


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
    with ProcessPoolExecutor() as pool:
        for picture in PICTURES:
            print(f"{picture} ...", file=sys.stderr, flush=True)
            rows += compare(pool, PHOTOS / "photo2mp" / f"{picture}.jpg", options.k)
    report.publish(options, table(rows), rows, PACKAGES)


if __name__ == "__main__":
    main()
