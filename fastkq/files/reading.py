"""How files are read: what they may ask of the memory, and what of a damaged one is accepted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fastkq.files.errors import ImageReadError
from fastkq.validate import check_flag, check_integer

# Pillow's limit, and that of most programs of the field: half a gigabyte of RGB, and with the
# copies that are made on the way about two.
MAX_PIXELS_WHOLE = 178_956_970
# By blocks of rows, memory does not grow with the image but for its labels, a byte a pixel: again
# two gigabytes.
MAX_PIXELS_BY_BLOCKS = 1 << 31
_pillow = threading.RLock()


@dataclass(frozen=True)
class ReadOptions:
    """How image files are read. Arrays and PIL images are in the caller's memory, and are not.

    Attributes
    ----------
    max_pixels : int, or None
        A file whose header says more pixels is refused before it is decoded. By default, the limit
        keeps the memory below about 2 GB: 179 megapixels for files that are decoded whole, 2147
        megapixels for those that come by blocks of rows.
    allow_truncated : bool
        Whether a file that ends early is read as far as it goes, the rest left as the decoder fills
        it. By default that is an error.
    """

    max_pixels: int | None = None
    allow_truncated: bool = False

    def describe(self) -> list[str]:
        """Return what decides over the pixels of an image that is read."""
        return ["allow_truncated"] if self.allow_truncated else []

    def check_size(self, name: str, width: int, height: int, *, by_blocks: bool = False) -> None:
        """Raise ImageReadError for an image of more pixels than are allowed."""
        default = MAX_PIXELS_BY_BLOCKS if by_blocks else MAX_PIXELS_WHOLE
        most = default if self.max_pixels is None else self.max_pixels
        if width * height > most:
            raise ImageReadError(
                f"{name}: its header says {width} x {height} pixels, {width * height}; max_pixels "
                f"allows {most}"
            )


DEFAULT = ReadOptions()


def check_reading(*, max_pixels: int | None = None, allow_truncated: bool = False) -> ReadOptions:
    """Return how files are read, if it is allowed."""
    check_flag(allow_truncated, "allow_truncated")
    return ReadOptions(
        None if max_pixels is None else check_integer(max_pixels, "max_pixels", 1),
        allow_truncated,
    )


@contextmanager
def pillow_reads(n_pixels: int, options: ReadOptions) -> Iterator[None]:
    """Let Pillow decode an image of so many pixels, which were found to be allowed.

    Its own limit, which it also warns of at the half, and its permission to read truncated files
    are variables of its modules: they are changed only for images that need it, one at a time, and
    restored. Meanwhile they hold for other threads that use Pillow, too.
    """
    from PIL import Image, ImageFile

    is_large = Image.MAX_IMAGE_PIXELS is None or n_pixels > Image.MAX_IMAGE_PIXELS
    if not is_large and not options.allow_truncated:
        yield
        return
    with _pillow:
        before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        if is_large:
            Image.MAX_IMAGE_PIXELS = None
        ImageFile.LOAD_TRUNCATED_IMAGES = options.allow_truncated
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before
