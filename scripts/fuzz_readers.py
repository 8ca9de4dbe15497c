"""Fuzz the readers of images, animations and palettes with atheris, guided by their branches.

    pip install atheris
    python scripts/fuzz_readers.py images -max_total_time=60
    python scripts/fuzz_readers.py animations -max_total_time=60
    python scripts/fuzz_readers.py palettes -max_total_time=60

What is no picture or palette must be one line of an ImageReadError or ValueError; all else ends the
run and leaves the input in a file. The options are those of libFuzzer. Seeds are the pictures of
`scripts/hostile_files.py`, made here.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

try:
    import atheris
except ImportError:
    print("skipped: atheris is not installed; it has wheels for Linux: pip install atheris")
    sys.exit(0)

with atheris.instrument_imports(include=["fastkq", "PIL"]):
    import fastkq
    from fastkq.files.animations import open_animation
    from fastkq.files.palettes import SUFFIXES, read_palette
    from fastkq.files.read import read_image
    from fastkq.files.reading import ReadOptions

MAX_BYTES = 20_000
SMALL = ReadOptions(max_pixels=1 << 16)  # canvases of more would fill the time of a run
FOLDER = tempfile.TemporaryDirectory()


def read_one_image(data: bytes) -> None:
    """Read an image; it is one, or one line says why not."""
    try:
        array = read_image(data).array
    except fastkq.ImageReadError as error:
        if "\n" in str(error):
            raise AssertionError("several lines") from error
    else:
        if array.dtype != "uint8" or not array.size:
            raise AssertionError(f"an array of {array.dtype} {array.shape}")


def read_one_animation(data: bytes) -> None:
    """Read all frames of an animation; it has as many as it says, or one line says why not."""
    try:
        film = open_animation(data, SMALL)
        n_frames = 0 if film is None else sum(1 for _ in film)
    except fastkq.ImageReadError as error:
        if "\n" in str(error):
            raise AssertionError("several lines") from error
    else:
        if film is not None and not n_frames == len(film) == len(film.durations):
            raise AssertionError(f"{n_frames} frames of {len(film)}")


def read_one_palette(data: bytes) -> None:
    """Read a palette file, whose suffix the first byte chooses."""
    suffix = (*SUFFIXES, ".png")[data[0] % 5] if data else ".gpl"
    path = Path(FOLDER.name, f"palette{suffix}")
    path.write_bytes(data[1:])
    try:
        palette = read_palette(path)
    except ValueError as error:
        if "\n" in str(error):
            raise AssertionError("several lines") from error
    else:
        if not 1 <= len(palette) <= 256:
            raise AssertionError(f"{len(palette)} colors")


def make_seeds(target: str) -> str:
    """Write small pictures or animations of each format; return their folder."""
    from hostile_files import make_films, make_pictures
    from PIL import Image

    folder = Path(FOLDER.name, "seeds")
    folder.mkdir()
    photo = Path(__file__).parents[1] / "tests" / "images" / "kodim03.png"
    with Image.open(photo) as image:
        small = image.convert("RGB").crop((200, 150, 232, 182))
    files = make_films(small) if target == "animations" else make_pictures(small)
    for name, data in files.items():
        (folder / name.replace(" ", "-")).write_bytes(data)
    return str(folder)


def main() -> None:
    """Fuzz what the first argument says."""
    targets = {
        "images": read_one_image,
        "animations": read_one_animation,
        "palettes": read_one_palette,
    }
    if len(sys.argv) < 2 or sys.argv[1] not in targets:
        sys.exit(f"one of {tuple(targets)} is allowed as the first argument")
    name = sys.argv.pop(1)
    arguments = [*sys.argv, f"-max_len={MAX_BYTES}", "-timeout=10", "-rss_limit_mb=4096"]
    if name != "palettes":
        arguments.append(make_seeds(name))
    atheris.Setup(arguments, targets[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
