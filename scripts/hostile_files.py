"""Read broken files, in a guarded process: each must be an image as it should be, or one error.

    python scripts/hostile_files.py --photos ../shared/photos --json bench/results/robustness.json

Six sets: PngSuite whole, a corpus of files that broke other decoders, six files cut off at every
64th of their length, 10,000 copies of eight files with flipped bits, and the same two of
animations, which are read as such and as a picture, their first frame. A file is read in a child
that has ten seconds and a bound on its memory; what ends the child is a crash or a hang, and the
next file has a new one. What the outcomes mean:

- same: the pixels, and of animations times and loop, are those of the whole file;
- as decoded: the damage is one that its format has no checksum for; the pixels are those that
  Pillow, asked in its strictest way, decodes;
- refused: `fastkq.ImageReadError`, in one line;
- wrong: an image with other pixels than that; other error: an exception of another class.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

import fastkq
from fastkq.files.animations import count_frames, open_animation
from fastkq.files.read import read_image
from fastkq.files.reading import ReadOptions

SECONDS, MEMORY = 10, 6 << 30
CUTS, FLIPS, FILM_FLIPS, SEED = 64, 10_000, 1_000, 15
N_FRAMES, FILM_SIDE, STEP = 5, 64, 6
FILM_PIXELS = 1 << 21  # about a second's work
HANG, CRASH = "hang", "crash"
SAME, AS_DECODED, REFUSED, WRONG, OTHER = "same", "as decoded", "refused", "wrong", "other error"
PNG, DEPTH_AT = b"\x89PNG", 24
SIDE = 96


def make_pictures(photo: Image.Image) -> dict[str, bytes]:
    """Return a picture as files of each format and of several ways to store it."""
    ways = {
        "jpeg": ("JPEG", photo, {"quality": 90}),
        "progressive jpeg": ("JPEG", photo, {"quality": 90, "progressive": True}),
        "png": ("PNG", photo, {}),
        "indexed png": ("PNG", photo.quantize(64), {"transparency": bytes(range(0, 256, 4))}),
        "webp": ("WEBP", photo, {"quality": 90}),
        "tiff": ("TIFF", photo, {"compression": "tiff_lzw"}),
        "gif": ("GIF", photo.quantize(64), {}),
        "bmp": ("BMP", photo, {}),
    }
    files = {}
    for name, (kind, picture, options) in ways.items():
        buffer = io.BytesIO()
        picture.save(buffer, kind, **options)
        files[name] = buffer.getvalue()
    return files


def make_films(photo: Image.Image) -> dict[str, bytes]:
    """Return an animation, a window that moves over a picture, as files of each format.

    Those of Pillow have whole frames in the GIF and PNG where all changes; those of fastkq have
    rectangles, and pixels that show what was there before.
    """
    places = [(STEP * i, 0, FILM_SIDE + STEP * i, FILM_SIDE) for i in range(N_FRAMES)]
    frames = [photo.crop(place) for place in places]
    durations = [40 + 10 * i for i in range(N_FRAMES)]
    files = {}
    for name, options in (
        ("gif", {}),
        ("png", {}),
        ("webp", {"quality": 80}),
    ):
        buffer = io.BytesIO()
        common = {"save_all": True, "append_images": frames[1:], "duration": durations, "loop": 3}
        frames[0].save(buffer, name, **common, **options)
        files[f"{name} of Pillow"] = buffer.getvalue()
    still = np.asarray(frames[0])
    drawn = [still.copy() for _ in frames]
    for i, frame in enumerate(drawn):
        frame[8 * i : 8 * i + 16, 20:40] = 255 - frame[8 * i : 8 * i + 16, 20:40]
    for format in ("gif", "png", "webp"):
        film = fastkq.Animation(np.stack(drawn), durations, loop=3)
        files[f"{format} of fastkq"] = fastkq.compress(film, format=format, n_colors=32)
    return files


def cut_files(files: dict[str, bytes]) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield each file cut off at every 64th of its length, with the whole one."""
    for name, data in files.items():
        for cut in range(1, CUTS):
            yield f"{name}, {cut} of {CUTS}", data[: len(data) * cut // CUTS], data


def flip_bits(
    files: dict[str, bytes], n_copies: int, seed: int = SEED
) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield copies of files with one to eight flipped bits, with the whole ones."""
    rng = np.random.default_rng(seed)
    names = list(files)
    for number in range(n_copies):
        name = names[number % len(names)]
        data = np.frombuffer(files[name], np.uint8).copy()
        # Half of them near the start, where the headers are.
        end = min(len(data), 256) if rng.integers(2) else len(data)
        for place in rng.integers(0, 8 * end, int(rng.integers(1, 9))):
            data[place // 8] ^= 1 << (place % 8)
        yield f"{name}, flip {number}", data.tobytes(), files[name]


def judge(data: bytes, whole: bytes | None) -> tuple[str, str]:
    """Read a file; return the outcome, and what there is to say of it."""
    try:
        array = read_image(data).array
    except fastkq.ImageReadError as error:
        return (REFUSED, str(error)) if "\n" not in str(error) else (OTHER, "several lines")
    except Exception as error:
        return OTHER, f"{type(error).__name__}: {error}"
    if whole is not None and np.array_equal(array, read_image(whole).array):
        return SAME, ""
    try:
        with Image.open(io.BytesIO(data)) as image:
            has_alpha = array.ndim == 3 and array.shape[2] in (2, 4)
            mode = {2: "L"}.get(array.ndim, {2: "LA", 3: "RGB", 4: "RGBA"}.get(array.shape[-1]))
            is_deep = image.mode.startswith("I")
            expected = np.asarray(image.convert(None if is_deep else mode))
    except Exception as error:
        return WRONG, f"Pillow says: {error}"
    if is_deep:
        expected = np.asarray((expected.astype(np.uint32) * 510 + 65535) // 131070, np.uint8)
    if expected.shape != array.shape:  # turned upright, which Pillow does not by itself
        return AS_DECODED, f"{expected.shape} is turned to {array.shape}"
    visible = array[..., -1] > 0 if has_alpha else np.ones(array.shape[:2], np.bool_)
    # Of several channels of 16 bits Pillow drops the low ones, which are rounded here.
    tolerance = int(data.startswith(PNG) and data[DEPTH_AT] == 16)
    difference = np.abs(expected.astype(np.int16) - array)[visible]
    is_equal = not difference.size or difference.max() <= tolerance
    return (AS_DECODED, "") if is_equal else (WRONG, "other pixels")


def visible(pixels: np.ndarray) -> np.ndarray:
    """Return pixels (..., 4) without the colors that cannot be seen."""
    return np.where(pixels[..., 3:] == 0, 0, pixels)


def by_pillow(data: bytes) -> list[np.ndarray]:
    """Return the frames of an animation that Pillow decodes."""
    with Image.open(io.BytesIO(data)) as image:
        frames = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            frames.append(visible(np.asarray(image.convert("RGBA"))))
        return frames


def differs_from_pillow(data: bytes, frames: list[np.ndarray]) -> str:
    """Return how frames differ from those that Pillow decodes of a file; nothing if they do not."""
    try:
        expected = by_pillow(data)
    except Exception as error:
        return f"Pillow says: {error}"
    if len(frames) != len(expected):
        return f"{len(frames)} frames; Pillow decodes {len(expected)}"
    for number, (frame, other) in enumerate(zip(frames, expected, strict=True)):
        if frame.shape != other.shape:
            return f"frame {number} is {frame.shape}; Pillow decodes {other.shape}"
        # What a frame of a GIF leaves free, Pillow fills with a color; and the entry that is
        # transparent in the first frame, it leaves so where a later one has another.
        seen = frame[..., 3] > 0
        lost = seen & (other[..., 3] == 0)
        if len(np.unique(frame[lost], axis=0)) == 1:
            seen &= ~lost
        if not np.array_equal(frame[seen], other[seen]):
            return f"other pixels in frame {number}"
    return ""


def judge_film(data: bytes, whole: bytes) -> tuple[str, str]:
    """Read a file of an animation as one, and its first frame as a picture; return the outcome.

    What is no animation any more, such as one whose header lost the word for it, is a picture. It
    is compressed as well, unless its pixels would take longer than a file may, and must have no
    more frames than were read.
    """
    try:
        if count_frames(io.BytesIO(data)) == 1:
            outcome = judge(data, None)
            is_cut = len(data) < len(whole) and outcome[0] != REFUSED
            return (WRONG, "it is cut off, and was read") if is_cut else outcome
        film = open_animation(data)
        frames = [visible(frame) for frame in film]
        first = read_image(data, ReadOptions(frame=0)).array
        written = b""
        if film.n_pixels <= FILM_PIXELS:
            written = fastkq.compress(data, n_colors=16, format="png", effort="fast")
    except fastkq.ImageReadError as error:
        return (REFUSED, str(error)) if "\n" not in str(error) else (OTHER, "several lines")
    except Exception as error:
        return OTHER, f"{type(error).__name__}: {error}"
    wanted = open_animation(whole)
    is_same = film.shape == wanted.shape and film.durations == wanted.durations
    is_same = is_same and film.loop == wanted.loop
    if is_same and all(map(np.array_equal, frames, map(visible, wanted))):
        return SAME, ""
    words = "it is cut off, and was read" if len(data) < len(whole) else ""
    if first.shape[:2] != film.size or count_frames(io.BytesIO(written)) > len(frames):
        words = "other frames where it is compressed"
    words = words or differs_from_pillow(data, frames)
    return (WRONG, words) if words else (AS_DECODED, "")


def peak_megabytes() -> float:
    """Return the most memory that this process had; what `getrusage` tells counts its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e3


def work() -> None:
    """Judge the files that are named on the standard input, a line of JSON each."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for line in sys.stdin:
        path, whole, is_film = json.loads(line)
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        start = time.perf_counter()
        original = None if whole is None else Path(whole).read_bytes()
        look = judge_film if is_film else judge
        outcome, words = look(Path(path).read_bytes(), original)
        seconds = time.perf_counter() - start
        faulthandler.cancel_dump_traceback_later()
        peak = peak_megabytes()
        print(json.dumps([outcome, words, seconds, peak]), flush=True)


class Guard:
    """A child that reads files; another one after a crash or a hang."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[str] | None = None

    def read(
        self, path: str, whole: str | None, *, is_film: bool = False
    ) -> tuple[str, str, float, float]:
        """Return the outcome, what there is to say, and the child's seconds and peak in MB."""
        child = self._child or subprocess.Popen(
            [sys.executable, __file__, "--work"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._child = child
        start = time.perf_counter()
        child.stdin.write(json.dumps([path, whole, is_film]) + "\n")
        child.stdin.flush()
        line = child.stdout.readline()
        if line:
            return tuple(json.loads(line))
        self._child = None
        words = child.stderr.read()
        outcome = HANG if "Timeout (" in words else CRASH
        return outcome, words[-300:], time.perf_counter() - start, 0.0

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.communicate()


def run_set(
    cases: Iterator[tuple[str, bytes, bytes | None]],
    tell: Callable[[str], None],
    *,
    is_film: bool = False,
) -> dict[str, object]:
    """Read the files of a set; return how often each outcome was."""
    counts: Counter[str] = Counter()
    slowest = peak = 0.0
    guard = Guard()
    with tempfile.TemporaryDirectory() as folder:
        path, wholes = os.path.join(folder, "file"), {}
        for name, data, whole in cases:
            Path(path).write_bytes(data)
            if whole is not None and whole not in wholes:
                wholes[whole] = os.path.join(folder, f"whole{len(wholes)}")
                Path(wholes[whole]).write_bytes(whole)
            outcome, words, seconds, megabytes = guard.read(
                path, wholes.get(whole), is_film=is_film
            )
            counts[outcome] += 1
            slowest, peak = max(slowest, seconds), max(peak, megabytes)
            if outcome in (HANG, CRASH, WRONG, OTHER):
                tell(f"{name}: {outcome}: {words}")
    guard.close()
    return {
        "files": counts.total(),
        **{outcome: counts[outcome] for outcome in (SAME, AS_DECODED, REFUSED)},
        **{outcome: counts[outcome] for outcome in (WRONG, OTHER, CRASH, HANG)},
        "slowest (s)": slowest,
        "memory (MB)": peak,
    }


def describe_machine() -> dict[str, str]:
    """Return the processor and versions, as the measurements of `bench` have them."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
    from machine import describe

    return describe("pillow", "imageio", "tifffile")


def main() -> None:
    """Read all sets and store what became of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="a folder with pngsuite and broken in it")
    parser.add_argument("--flips", type=int, default=FLIPS)
    parser.add_argument("--film-flips", type=int, default=FILM_FLIPS)
    parser.add_argument("--only", help="a word of the names of the sets that are read")
    parser.add_argument("--json", type=Path, help="store the figures in this file")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work()
        return
    photo = Path(__file__).parents[1] / "tests" / "images" / "kodim03.png"
    with Image.open(photo) as image:
        whole = image.convert("RGB")
    small = whole.crop((200, 150, 200 + SIDE, 150 + SIDE))
    large = make_pictures(whole)
    six = ("jpeg", "progressive jpeg", "png", "webp", "tiff", "gif")
    sets: dict[str, Iterator[tuple[str, bytes, bytes | None]]] = {}
    for name in ("pngsuite", "broken"):
        folder = None if options.photos is None else options.photos / name
        if folder is not None and folder.is_dir():
            pattern = "*.png" if name == "pngsuite" else "*"
            files = sorted(path for path in folder.glob(pattern) if path.is_file())
            sets[name] = ((path.name, path.read_bytes(), None) for path in files)
    sets["cut off"] = cut_files({name: large[name] for name in six})
    sets["flipped bits"] = flip_bits(make_pictures(small), options.flips)
    films = make_films(whole)
    sets["animations cut off"] = cut_files(films)
    sets["animations, flipped bits"] = flip_bits(films, options.film_flips)
    results = {}

    def say(text: str) -> None:
        print(text, file=sys.stderr)

    for name, cases in sets.items():
        if options.only is not None and options.only not in name:
            continue
        results[name] = run_set(cases, say, is_film=name.startswith("animations"))
        print(name, json.dumps(results[name]))
    if options.json is not None:
        known = json.loads(options.json.read_text()) if options.json.exists() else {}
        known["machine"], known["files"] = describe_machine(), known.get("files", {}) | results
        options.json.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
