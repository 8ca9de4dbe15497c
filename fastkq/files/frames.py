"""Animations: frames of one size, how long each is shown, and how often all of them are."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from fastkq.colors.pixels import as_rows, check_layout
from fastkq.files.attached import NOTHING, Attached
from fastkq.types import UInt8Array
from fastkq.validate import check_integer

DEFAULT_DURATION = 100.0  # ms
MAX_LOOP = 65535  # as the fields of all formats have it


class AnimationError(ValueError):
    """An animation was given where one picture is wanted, and no frame was chosen."""


class Frames(Protocol):
    """Frames that can be gone through more than once, such as an array (T, H, W, C) or a list."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, number: int, /) -> Any:
        """Return one of them."""


@dataclass(frozen=True, eq=False)
class FrameReader:
    """Frames that are decoded one after the other.

    Attributes
    ----------
    shape : (T, H, W, C)
    read : start a pass: returns an iterator of frames
    """

    shape: tuple[int, ...]
    read: Callable[[], Iterator[UInt8Array]]

    def __len__(self) -> int:
        """How many frames there are."""
        return self.shape[0]

    def __getitem__(self, number: int, /) -> UInt8Array:
        """Return a frame, for which all before it are decoded."""
        return next(islice(self.read(), number, None))


@dataclass(frozen=True)
class Origin:
    """Where an animation comes from.

    Attributes
    ----------
    name : what errors and reports call it
    n_bytes : int, of the file or of the pixels
    path : the file, if it is a named one
    is_file : whether `n_bytes` are those of a file
    attached : what comes with it, such as the RGB profile that the values refer to
    """

    name: str
    n_bytes: int
    path: str | None = None
    is_file: bool = False
    attached: Attached = NOTHING


class Animation:
    """An animation for `fastkq.compress`: frames of one size, their durations, and a loop count.

    Parameters
    ----------
    frames : array (T, H, W) or (T, H, W, 2 to 4) of uint8, or sequence of such frames
        Gray, gray + alpha, RGB or RGBA. They are gone through twice, one at a time, so memory maps
        and Zarr arrays do; they must not change meanwhile.
    durations : float or sequence of float
        How long each frame is shown, in milliseconds, 0 or more. Players show frames of 10 ms or
        less for 100 ms.
    loop : int, 0 to 65535
        How often the animation is played; 0 means for ever.

    Attributes
    ----------
    shape : tuple of int
        (T, H, W) or (T, H, W, C).
    durations : tuple of float, one a frame
    loop : int

    Examples
    --------
    >>> import fastkq, numpy as np
    >>> frames = np.zeros((3, 8, 8, 3), np.uint8)
    >>> frames[1:, 2:4] = 255
    >>> film = fastkq.Animation(frames, durations=[40, 40, 500])
    >>> len(film), film.shape, film.loop
    (3, (3, 8, 8, 3), 0)
    >>> fastkq.compress(film, format="gif")[:6]
    b'GIF89a'
    """

    def __init__(
        self,
        frames: Frames,
        durations: float | Sequence[float] | ArrayLike = DEFAULT_DURATION,
        loop: int = 0,
        *,
        origin: Origin | None = None,
    ) -> None:
        n_frames = len(frames)
        if n_frames == 0:
            raise ValueError("there are no frames; one or more are allowed")
        shape = getattr(frames, "shape", None) or (n_frames, *np.shape(frames[0]))
        self.shape: tuple[int, ...] = tuple(int(side) for side in shape)
        self.durations = _check_durations(durations, n_frames)
        self.loop = check_integer(loop, "loop", 0, MAX_LOOP)
        self._frames = frames
        if origin is None:
            origin = Origin(f"animation {self.shape}", math.prod(self.shape))
            check_layout(self.shape[1:], getattr(frames, "dtype", np.uint8), "the first frame")
        self.origin = origin

    def __len__(self) -> int:
        """How many frames there are."""
        return self.shape[0]

    def __iter__(self) -> Iterator[UInt8Array]:
        """Start a pass over the frames (H, W) or (H, W, C) uint8, in C order and read-only.

        Raises
        ------
        ValueError, TypeError
            A frame cannot be read, or has another shape or dtype than the first one.
        """
        for number, frame in enumerate(self._read()):
            array = np.asarray(frame)
            if array.shape != self.shape[1:]:
                raise ValueError(
                    f"{self.origin.name}: frame {number} has shape {array.shape}; that of the "
                    f"first one, {self.shape[1:]}, is allowed"
                )
            check_layout(array.shape, array.dtype, f"frame {number}")
            yield as_rows(array)

    @property
    def name(self) -> str:
        """What errors and reports call it."""
        return self.origin.name

    @property
    def n_bytes(self) -> int:
        """The bytes of the file, or of the pixels."""
        return self.origin.n_bytes

    @property
    def attached(self) -> Attached:
        """What comes with it, such as the RGB profile that its values refer to."""
        return self.origin.attached

    @property
    def is_file(self) -> bool:
        """Whether `n_bytes` are those of a file."""
        return self.origin.is_file

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of each frame."""
        return self.shape[1], self.shape[2]

    @property
    def n_pixels(self) -> int:
        """T * H * W."""
        return math.prod(self.shape[:3])

    def _read(self) -> Iterator[Any]:
        if isinstance(self._frames, FrameReader):
            return self._frames.read()
        return (self._frames[number] for number in range(len(self)))


def _check_durations(durations: object, n_frames: int) -> tuple[float, ...]:
    """Return the duration of each frame in ms."""
    allowed = "a number of milliseconds of 0 or more, or one a frame, is allowed"
    given: Any = durations
    values = [given] * n_frames if isinstance(given, numbers.Real) else list(given)
    if len(values) != n_frames:
        raise ValueError(f"there are {len(values)} durations and {n_frames} frames; {allowed}")
    for value in values:
        if not isinstance(value, numbers.Real) or isinstance(value, bool):
            raise TypeError(f"a duration is {value!r}; {allowed}")
        if not 0 <= float(value) < math.inf:
            raise ValueError(f"a duration is {value!r}; {allowed}")
    return tuple(map(float, values))
