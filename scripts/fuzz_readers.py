"""Fuzz the readers of images and palettes with atheris, guided by the branches they take.

    pip install atheris
    python scripts/fuzz_readers.py images -max_total_time=60
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
    from fastkq.files.palettes import SUFFIXES, read_palette
    from fastkq.files.read import read_image

MAX_BYTES = 20_000
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


def make_seeds() -> str:
    """Write small pictures of each format; return their folder."""
    from hostile_files import make_pictures
    from PIL import Image

    folder = Path(FOLDER.name, "seeds")
    folder.mkdir()
    photo = Path(__file__).parents[1] / "tests" / "images" / "kodim03.png"
    with Image.open(photo) as image:
        small = image.convert("RGB").crop((200, 150, 232, 182))
    for name, data in make_pictures(small).items():
        (folder / name.replace(" ", "-")).write_bytes(data)
    return str(folder)


def main() -> None:
    """Fuzz what the first argument says."""
    targets = {"images": read_one_image, "palettes": read_one_palette}
    if len(sys.argv) < 2 or sys.argv[1] not in targets:
        sys.exit(f"one of {tuple(targets)} is allowed as the first argument")
    name = sys.argv.pop(1)
    arguments = [*sys.argv, f"-max_len={MAX_BYTES}", "-timeout=10", "-rss_limit_mb=4096"]
    if name == "images":
        arguments.append(make_seeds())
    atheris.Setup(arguments, targets[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
