"""Bytes of the same indices by several writers: what order, filters and deflate are worth.

    python bench/bytes.py [--json bench/results/bytes.json]

fastkq's palette and labels, undithered and dithered, written by Pillow as it comes and optimized,
by fastkq as it comes, with `optimize` and as WebP, and by oxipng at its level 2 (in the group
`peers`; it gets fastkq's file). The least time of some turns. Needs ../shared/photos.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator

import numpy as np
import report
from pictures import PHOTOS, photo
from PIL import Image

import fastkq

PICTURES = (
    "kodak/kodim03.png",
    "kodak/kodim08.png",
    "graphics/codec_wiki.png",
    "photo2mp/louvre.jpg",
    "photo2mp/hokkaido.jpg",
    "large/louvre-24mp.jpg",
)
CASES = ((256, "none"), (256, "adaptive"), (64, "none"), (16, "none"))
REPEAT = 3
LARGE = 20_000_000  # pixels: once is enough


def by_pillow(result: fastkq.QuantizeResult, *, optimize: bool = False) -> bytes:
    """Write labels and palette as an image of mode P."""
    image = Image.fromarray(result.labels)
    image.putpalette(np.ascontiguousarray(result.palette).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=optimize)
    return buffer.getvalue()


def by_fastkq(result: fastkq.QuantizeResult, name: str = "png", *, optimize: bool = False) -> bytes:
    """Write as `QuantizeResult.save` does, with its few bytes that name fastkq."""
    return result.encode(name, optimize=optimize)


def writers(result: fastkq.QuantizeResult) -> dict[str, Callable[[], bytes]]:
    """Return what is compared, by name."""
    import oxipng

    plain = by_fastkq(result)
    return {
        "Pillow": lambda: by_pillow(result),
        "Pillow, optimize": lambda: by_pillow(result, optimize=True),
        "fastkq": lambda: by_fastkq(result),
        "fastkq, optimize": lambda: by_fastkq(result, optimize=True),
        "fastkq, WebP": lambda: by_fastkq(result, "webp"),
        "oxipng 2": lambda: oxipng.optimize_from_memory(plain, level=2),
    }


def measure(name: str, image: np.ndarray) -> Iterator[report.Row]:
    """Give the bytes and the time of each writer for each case."""
    for n_colors, dither in CASES:
        result = fastkq.quantize(image, n_colors, dither=dither)
        for writer, write in writers(result).items():
            times = []
            for _ in range(1 if result.labels.size > LARGE else REPEAT):
                start = time.perf_counter()
                data = write()
                times.append((time.perf_counter() - start) * 1e3)
            with Image.open(io.BytesIO(data)) as shown:
                assert np.array_equal(np.asarray(shown.convert("RGB")), result.to_array()), writer
            yield {
                "picture": name,
                "K": n_colors,
                "dither": dither,
                "writer": writer,
                "bytes": len(data),
                "ms": min(times),
            }


def table(rows: list[report.Row]) -> str:
    """Return the rows as Markdown, a line a picture and case."""
    names = list(dict.fromkeys(str(row["writer"]) for row in rows))
    lines = []
    for key in dict.fromkeys((row["picture"], row["K"], row["dither"]) for row in rows):
        own = {r["writer"]: r for r in rows if (r["picture"], r["K"], r["dither"]) == key}
        cells = [f"{own[name]['bytes'] / 1e3:.1f} kB, {own[name]['ms']:.0f} ms" for name in names]
        lines.append([f"{key[0]}, K = {key[1]}, {key[2]}", *cells])
    return report.markdown(["picture", *names], lines)


def main() -> None:
    """Measure, print and store."""
    parser = report.arguments(__doc__)
    parser.add_argument("--pictures", nargs="+", default=PICTURES)
    options = parser.parse_args()
    rows: list[report.Row] = []
    for name in options.pictures:
        image = photo(PHOTOS / name)
        if image is None:
            parser.error(f"{PHOTOS / name}: no such file")
        rows += measure(name, image)
    report.publish(options, table(rows), rows, ("pillow", "pyoxipng", "deflate"))


if __name__ == "__main__":
    main()
