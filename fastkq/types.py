"""Type names that several modules share."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_LEVEL = 255  # of a channel
MAX_COLORS = 256  # of a palette: what a byte can number

Array: TypeAlias = NDArray[Any]
UInt8Array: TypeAlias = NDArray[np.uint8]
PathOrFile: TypeAlias = "str | PathLike[str] | BinaryIO"
ImageSource: TypeAlias = "str | PathLike[str] | bytes | BinaryIO | Array | Image"
QualityRange: TypeAlias = "tuple[float, float] | list[float]"
