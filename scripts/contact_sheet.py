"""Draw docs/contact-sheet.png: crops at 100 % of originals, fastkq's and pngquant's pictures.

    python scripts/contact_sheet.py [--k 128] [--output docs/contact-sheet.png]

A sky, a face, foliage, text, and a soft edge to transparency (on red). pngquant as it comes, which
dithers, with so many colors; fastkq with at most as many bytes. Needs pngquant's command and
../shared/photos.
"""

import argparse
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import fastkq

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "bench"))
from contenders import find_pngquant  # noqa: E402 - beside this folder, not installed
from pictures import PHOTOS  # noqa: E402

# What is shown, of which file, from which corner.
CROPS = [
    ("sky", "graphics/photo-sunset.png", (150, 60)),
    ("face", "kodak/kodim04.png", (120, 170)),
    ("foliage", "photo2mp/hokkaido.jpg", (700, 420)),
    ("text", "graphics/codec_wiki.png", (880, 380)),
    ("edge", "alpha/emoji_u1f645.png", (40, 60)),
]
WIDTH, HEIGHT, CAPTION = 288, 176, 16
BACKGROUND = (200, 30, 30)


def crop(image: Image.Image, corner: tuple[int, int], caption: str) -> np.ndarray:
    """Return a part of a picture, on the background where it is transparent, above a caption."""
    left, top = corner
    part = image.convert("RGBA").crop((left, top, left + WIDTH, top + HEIGHT))
    panel = Image.new("RGBA", part.size, BACKGROUND)
    panel.alpha_composite(part)
    result = Image.new("RGB", (WIDTH, HEIGHT + CAPTION), "white")
    result.paste(panel.convert("RGB"), (0, 0))
    ImageDraw.Draw(result).text((4, HEIGHT + 2), caption, fill="black")
    return np.asarray(result)


def by_pngquant(image: Image.Image, n_colors: int) -> bytes:
    """Return the file of a picture by pngquant."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    command = [find_pngquant(), str(n_colors), "-"]
    return subprocess.run(command, input=buffer.getvalue(), capture_output=True, check=True).stdout


def row(what: str, name: str, corner: tuple[int, int], n_colors: int) -> np.ndarray:
    """Return the panels of a picture side by side."""
    with Image.open(PHOTOS / name) as file:
        image = file.convert("RGBA" if "alpha/" in name else "RGB")
    theirs = by_pngquant(image, n_colors)
    files = {"fastkq": fastkq.compress(image, max_bytes=len(theirs)), "pngquant": theirs}
    panels = [crop(image, corner, f"{what}: {name}")]
    for tool, data in files.items():
        with Image.open(io.BytesIO(data)) as shown:
            score = fastkq.ssimulacra2(image, shown) if image.mode == "RGB" else None
            look = "" if score is None else f", SSIMULACRA 2 {score:.1f}"
            panels.append(crop(shown, corner, f"{tool}, {len(data) / 1000:.0f} kB{look}"))
    return np.concatenate(panels, axis=1)


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--k", type=int, default=128)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "contact-sheet.png")
    options = parser.parse_args()
    sheet = np.concatenate([row(*about, options.k) for about in CROPS])
    Image.fromarray(sheet).save(options.output, optimize=True)
    print(f"{options.output.name}: {options.output.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
