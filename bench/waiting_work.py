"""What `waiting.py` times, for processes that import another revision of fastkq.

python bench/waiting_work.py          answer names of calls, a line each, with their seconds
python bench/waiting_work.py PHOTO    print the bytes that quantizing takes beyond its input
"""

from __future__ import annotations

import inspect
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

PHOTOS = Path(__file__).parents[2] / "shared" / "photos"
PAUSE = 0.05  # seconds
SMALL, MEDIUM = PHOTOS / "kodak" / "kodim03.png", PHOTOS / "photo2mp" / "louvre.jpg"
MANY_COLORS, LARGE = PHOTOS / "photo2mp" / "akihabara.jpg", PHOTOS / "large" / "louvre-24mp.jpg"
LOOKS: dict[str, dict[str, object]] = {
    "": {},
    "Oklab": {"color_space": "oklab"},
    "diffusion": {"dither": "diffusion"},
    "fast": {"effort": "fast"},
}
# Of quantette's time by K-means, at 16, 64 and 256 colors: what fastkq 0.1.0 took, and the goal.
SHARES = (
    (SMALL, "", (0.93, 0.72, 0.56), 0.5),
    (SMALL, "Oklab", (1.09, 0.93, 0.79), 0.6),
    (SMALL, "diffusion", (0.88, 0.82, 0.57), 0.5),
    (MEDIUM, "", (0.93, 0.90, 0.72), 0.6),
    (MEDIUM, "Oklab", (1.66, 1.53, 1.21), 0.8),
    (MEDIUM, "diffusion", (1.21, 1.06, 0.67), 0.6),
)
QUANTETTE = {
    (photo, k, look): (share, goal)
    for photo, look, shares, goal in SHARES
    for k, share in zip((16, 64, 256), shares, strict=True)
} | {(LARGE, 256, ""): (0.50, 0.42)}
PLAIN = {"dither": "none", "lossy": 0, "color_space": "srgb", "masking": False}


def name_of(photo: Path, n_colors: int, look: str) -> str:
    """Return how a row of `quantize` is called."""
    return f"quantize {photo.stem}, K = {n_colors}" + (f", {look}" if look else "")


def workloads() -> dict[str, Callable[[], object]]:
    """Return what is timed in a process that stays, on the fastkq that it imports."""
    import fastkq

    photos = {path: np.asarray(Image.open(path).convert("RGB")) for path in (SMALL, MEDIUM)}
    photos |= {path: np.asarray(Image.open(path).convert("RGB")) for path in (MANY_COLORS, LARGE)}

    def quantize(photo: Path, n_colors: int, look: str) -> Callable[[], object]:
        return lambda: fastkq.quantize(photos[photo], n_colors, **LOOKS[look])

    found: dict[str, Callable[[], object]] = {}
    for photo, n_colors, look in QUANTETTE:
        found[name_of(photo, n_colors, look)] = quantize(photo, n_colors, look)
    for look in ("", "Oklab"):
        found[name_of(MANY_COLORS, 64, look)] = quantize(MANY_COLORS, 64, look)
    for photo in (SMALL, MEDIUM):
        found[name_of(photo, 256, "fast")] = quantize(photo, 256, "fast")
    known = inspect.signature(fastkq.quantize).parameters
    plain = {name: value for name, value in PLAIN.items() if name in known}
    target = str(Path(tempfile.mkdtemp()) / "out.png")
    found["Pillow decodes 24 MP"] = lambda: Image.open(LARGE).convert("RGB")
    found["compress 24 MP, JPEG to PNG, plain"] = lambda: fastkq.compress(LARGE, target, **plain)
    found["compress 24 MP, JPEG to PNG, as by default"] = lambda: fastkq.compress(LARGE, target)
    result = fastkq.quantize(photos[LARGE], 256)

    def save() -> None:
        with open(os.devnull, "wb") as file:
            result.save(file, **({"format": "png"} if "format" in save_options else {}))

    save_options = inspect.signature(result.save).parameters
    found["write the labels of 24 MP as PNG"] = save
    return found


def work() -> None:
    """Run what is asked for, a name a line, and answer with the seconds."""
    known = workloads()
    print(json.dumps(list(known)), flush=True)
    for line in sys.stdin:
        time.sleep(PAUSE)
        start = time.perf_counter()
        known[line.strip()]()
        print(time.perf_counter() - start, flush=True)


def measure_memory(photo: str) -> None:
    """Print the bytes that quantizing takes at its peak, beyond what the process had before."""
    import fastkq

    image = np.asarray(Image.open(photo).convert("RGB"))
    fastkq.quantize(np.ascontiguousarray(image[:64, :64]), 16)  # loads the kernels
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fastkq.quantize(image, 256)
    print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure_memory(sys.argv[1])
    else:
        work()
