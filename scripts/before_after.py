"""Draw docs/before-after.png: a crop of a photo beside its quantized versions, with file sizes."""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import fastkq

ROOT = Path(__file__).parents[1]
PHOTO = ROOT / "tests" / "images" / "kodim03.png"
TARGET = ROOT / "docs" / "before-after.png"
CROP = (30, 60, 370, 400)  # left, top, right, bottom, at 100 %
CAPTION = 22


def panel(image: Image.Image, caption: str) -> np.ndarray:
    """Return a crop with a caption below it."""
    left, top, right, bottom = CROP
    result = Image.new("RGB", (right - left, bottom - top + CAPTION), "white")
    result.paste(image.crop(CROP), (0, 0))
    ImageDraw.Draw(result).text((6, bottom - top + 5), caption, fill="black")
    return np.asarray(result)


def main() -> None:
    """Draw the picture."""
    with Image.open(PHOTO) as image:
        original = image.convert("RGB")
    panels = [panel(original, f"original: {PHOTO.stat().st_size / 1000:.0f} kB")]
    with tempfile.TemporaryDirectory() as folder:
        for n_colors in (256, 16):
            report = fastkq.compress(PHOTO, Path(folder) / "small.png", n_colors)
            with Image.open(report.target) as image:
                caption = f"{n_colors} colors: {report.target_bytes / 1000:.0f} kB"
                panels.append(panel(image.convert("RGB"), f"{caption}, {report.psnr:.1f} dB"))
    Image.fromarray(np.concatenate(panels, axis=1)).save(TARGET, optimize=True)
    print(f"{TARGET}: {TARGET.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
