"""What a file gets where nothing is said: what looks best for its bytes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

# How lossy a file is. With it, and masking, each of 35 test pictures looked closer to its original
# than pngquant's of 256 colors does, by SSIMULACRA 2, and 31 took fewer bytes.
FILE_LOSSY = 20.0


def choose_look(
    options: Mapping[str, Any],
    palette: ArrayLike | str | os.PathLike[str] | None = None,
    *,
    is_shared: bool = False,
) -> dict[str, Any]:
    """Return the keywords of a file's options, with what decides over its look filled in.

    `quantize` is the plain textbook where nothing is said: K-means in sRGB, each pixel its nearest
    entry. A file gets what looks best for its bytes: Oklab, masking, and labels by cost. Whoever
    asks for "fast", for a color space, a dithering, a score or a palette of their own gets that,
    and nothing beside it; with `max_bytes`, the file is as lossy as that needs. A palette that
    images share has no masking, which is of one picture; None is that of pictures, and none of
    animations.

    Examples
    --------
    >>> choose_look({"protect": True})
    {'protect': True, 'color_space': 'oklab', 'masking': None, 'lossy': 20.0}
    >>> choose_look({"dither": "ordered", "effort": "fast"})
    {'dither': 'ordered', 'effort': 'fast'}
    """
    chosen = dict(options)
    if chosen.get("effort") != "fast" and "color_space" not in chosen:
        chosen["color_space"] = "oklab"
        if palette is None and not is_shared and chosen.get("weights") is None:
            chosen.setdefault("masking", None)
    is_said = "dither" in chosen or chosen.get("min_score") is not None
    if palette is None and not is_said:
        is_bound = chosen.get("max_bytes") is not None
        chosen.setdefault("lossy", None if is_bound else FILE_LOSSY)
    return chosen
