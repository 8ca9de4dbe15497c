"""How alike two images look: of any two, and of an image and its few colors."""

from __future__ import annotations

from fastkq.colors.ssimulacra2 import Picture, check_sizes, score_pictures
from fastkq.files.rows import Source
from fastkq.files.source import open_source
from fastkq.types import ImageSource, UInt8Array


def ssimulacra2(original: ImageSource, distorted: ImageSource) -> float:
    """Score how close an image looks to its original, by SSIMULACRA 2.

    Parameters
    ----------
    original, distorted : what `quantize` takes
        Of one size, with sides of 8 or more pixels. Gray counts as R = G = B, colors as sRGB, and
        16 bits a channel as 8. If the original has transparent pixels, both are laid over dark and
        over bright gray, and the lower score counts; if only the distorted image has, it is laid
        over middle gray. An alpha channel that is opaque everywhere counts as none.

    Returns
    -------
    float
        100 for equal images; 90 can hardly be told from the original, 70 is high, 50 medium and 30
        low quality; there is no lower end. The same on any number of threads.

    Raises
    ------
    ValueError, TypeError, OSError
        An image cannot be read or is read by blocks, the sizes differ, or a side is under 8 pixels.

    Notes
    -----
    Sneyers, SSIMULACRA 2.1 (https://github.com/cloudinary/ssimulacra2), with a direct blur in place
    of a recursive one: closer to the formulas than the reference program, whose rounding shows
    where an image is flat.

    Examples
    --------
    >>> import fastkq, numpy as np
    >>> ramp = np.arange(4096, dtype=np.uint8).reshape(64, 64)
    >>> fastkq.ssimulacra2(ramp, ramp), round(fastkq.ssimulacra2(ramp, ramp & 0xF0), 1)
    (100.0, 77.8)
    """
    return score_pictures(
        Picture(_whole(open_source(original), "original")),
        Picture(_whole(open_source(distorted), "distorted")),
    )


def check_scorable(source: Source) -> None:
    """Raise ValueError for an image that cannot be scored, before anything is done with it."""
    height, width = source.shape[:2]
    check_sizes((height, width), (height, width))
    _whole(source)


def score_labels(source: Source, labels: UInt8Array, palette: UInt8Array) -> float:
    """Return the score of an image of few colors against its original."""
    return score_pictures(Picture(_whole(source)), Picture(labels, palette))


def _whole(source: Source, role: str = "image") -> UInt8Array:
    if source.array is None:
        raise ValueError(
            f"{role} is {source.name}, which is read by blocks; a score needs an image in memory"
        )
    return source.array
