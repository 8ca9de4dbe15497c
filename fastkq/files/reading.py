"""How a file is read: which page of it, and what becomes of what lies beside its pixels."""

from __future__ import annotations

from dataclasses import dataclass

from fastkq.validate import check_integer

ALL_PAGES = "all"
KEEP, SRGB, STRIP = ICC_CHOICES = ("keep", "srgb", "strip")
NO_METADATA, KEEP_METADATA = METADATA_CHOICES = ("none", "keep")


@dataclass(frozen=True)
class ReadOptions:
    """How a file is read.

    Attributes
    ----------
    page : int, "all" or None
        Which page of a TIFF, from 1. None: its only one; a file of several is refused. "all" is for
        batches, which make a job of each page.
    icc : {"keep", "srgb", "strip"}
        What becomes of the color profile: it goes into the output, the colors are converted to
        sRGB, or it is dropped and the values stay.
    metadata : {"none", "keep"}
        Whether EXIF data, with its places on the globe, and XMP go into the output.
    """

    page: int | str | None = None
    icc: str = KEEP
    metadata: str = NO_METADATA

    def __post_init__(self) -> None:
        if self.page is not None and self.page != ALL_PAGES:
            check_integer(self.page, "page", 1)
        if self.icc not in ICC_CHOICES:
            raise ValueError(f"icc is {self.icc!r}; one of {ICC_CHOICES} is allowed")
        if self.metadata not in METADATA_CHOICES:
            raise ValueError(f"metadata is {self.metadata!r}; one of {METADATA_CHOICES} is allowed")

    @property
    def keeps_metadata(self) -> bool:
        """Whether EXIF and XMP are kept."""
        return self.metadata == KEEP_METADATA

    def describe(self) -> list[str]:
        """Return what differs from the defaults, for the settings of a run."""
        parts = [] if self.page is None else [f"page {self.page}"]
        if self.icc != KEEP:
            parts.append(f"icc {self.icc}")
        if self.metadata != NO_METADATA:
            parts.append(f"metadata {self.metadata}")
        return parts


DEFAULT = ReadOptions()
