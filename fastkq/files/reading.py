"""How a file is read: its page, what it may ask of the memory, what comes along with its pixels."""

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
# Of all frames of an animation, which are decoded one at a time: for the time they take.
MAX_PIXELS_OF_FILM = 1 << 34
ALL_PAGES = "all"
KEEP, SRGB, STRIP = ICC_CHOICES = ("keep", "srgb", "strip")
NO_METADATA, KEEP_METADATA = METADATA_CHOICES = ("none", "keep")
_pillow = threading.RLock()


@dataclass(frozen=True)
class ReadOptions:
    """How image files are read. Arrays are in the caller's memory, and have nothing to read.

    Attributes
    ----------
    max_pixels : int, or None
        A file whose header says more pixels is refused before it is decoded. By default, the limit
        keeps the memory below about 2 GB: 179 megapixels for files that are decoded whole, 2147
        megapixels for those that come by blocks of rows. It is of each frame of an animation,
        whose frames may have 17179 megapixels together, or `max_pixels` if that is more.
    allow_truncated : bool
        Whether a file that ends early is read as far as it goes, the rest left as the decoder fills
        it. By default that is an error.
    page : int, "all" or None
        Which page of a TIFF, from 1. None: its only one; a file of several is refused. "all" is for
        batches, which make a job of each page.
    icc : {"keep", "srgb", "strip"}
        What becomes of the color profile: it goes into the output, the colors are converted to
        sRGB, or it is dropped and the values stay.
    metadata : {"none", "keep"}
        Whether EXIF data, with its places on the globe, and XMP go into the output.
    frame : int, or None
        Which frame of an animation, from 0. None: all of them, where that can be.
    """

    max_pixels: int | None = None
    allow_truncated: bool = False
    page: int | str | None = None
    icc: str = KEEP
    metadata: str = NO_METADATA
    frame: int | None = None

    def __post_init__(self) -> None:
        if self.max_pixels is not None:
            check_integer(self.max_pixels, "max_pixels", 1)
        check_flag(self.allow_truncated, "allow_truncated")
        if self.page is not None and self.page != ALL_PAGES:
            check_integer(self.page, "page", 1)
        if self.frame is not None:
            check_integer(self.frame, "frame", 0)
        if self.icc not in ICC_CHOICES:
            raise ValueError(f"icc is {self.icc!r}; one of {ICC_CHOICES} is allowed")
        if self.metadata not in METADATA_CHOICES:
            raise ValueError(f"metadata is {self.metadata!r}; one of {METADATA_CHOICES} is allowed")

    @property
    def keeps_metadata(self) -> bool:
        """Whether EXIF and XMP are kept."""
        return self.metadata == KEEP_METADATA

    def describe(self) -> list[str]:
        """Return what decides over an output, for the settings of a run."""
        parts = ["allow_truncated"] if self.allow_truncated else []
        if self.page is not None:
            parts.append(f"page {self.page}")
        if self.frame is not None:
            parts.append(f"frame {self.frame}")
        if self.icc != KEEP:
            parts.append(f"icc {self.icc}")
        if self.metadata != NO_METADATA:
            parts.append(f"metadata {self.metadata}")
        return parts

    def check_size(self, name: str, width: int, height: int, *, by_blocks: bool = False) -> None:
        """Raise ImageReadError for an image of more pixels than are allowed."""
        default = MAX_PIXELS_BY_BLOCKS if by_blocks else MAX_PIXELS_WHOLE
        most = default if self.max_pixels is None else self.max_pixels
        if width * height > most:
            raise ImageReadError(
                f"{name}: its header says {width} x {height} pixels, {width * height}; max_pixels "
                f"allows {most}"
            )

    def check_film(self, name: str, n_frames: int, width: int, height: int) -> None:
        """Raise ImageReadError for an animation whose frames have more pixels than are allowed."""
        most = max(MAX_PIXELS_OF_FILM, self.max_pixels or 0)
        n_pixels = n_frames * width * height
        if n_pixels > most:
            raise ImageReadError(
                f"{name}: its {n_frames} frames of {width} x {height} pixels have {n_pixels}; "
                f"max_pixels allows {most} of them together"
            )


DEFAULT = ReadOptions()


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
