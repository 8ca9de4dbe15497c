"""The frames of an animation as they are drawn: equal ones as one, each with the next one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fastkq.colors.histogram import ColorHistogram, histogram_of_blocks
from fastkq.colors.pixels import flatten, has_alpha, with_alpha
from fastkq.files.deltas import Packed, pack_colors
from fastkq.files.frames import Animation
from fastkq.files.timing import can_merge
from fastkq.types import UInt8Array


@dataclass(frozen=True, eq=False)
class Shot:
    """A frame, and what comes after it.

    Attributes
    ----------
    pixels : (H, W, 4) uint8
    packed : (H, W) uint32, the same
    duration : float, in ms
    n_frames : int, how many equal frames it is
    following : (H, W) uint32, the next frame; behind the last one, see `read_shots`
    """

    pixels: UInt8Array
    packed: Packed
    duration: float
    n_frames: int
    following: Packed


def read_frames(animation: Animation, background: UInt8Array | None) -> Iterator[UInt8Array]:
    """Yield the frames (H, W, 4) of an animation, laid over a background if there is one."""
    for frame in animation:
        if background is not None and has_alpha(frame):
            yield with_alpha(flatten(frame, background))
        else:
            yield with_alpha(frame)


def count_frames_together(animation: Animation, background: UInt8Array | None) -> ColorHistogram:
    """Count the colors of all frames, as those of a picture with one below the other."""
    n_frames, height, width = animation.shape[:3]
    return histogram_of_blocks(read_frames(animation, background), (n_frames * height, width, 4))


def read_shots(animation: Animation, background: UInt8Array | None) -> Iterator[Shot]:
    """Yield the frames, each once it is known what comes next.

    Behind the last one comes the first again where that is not opaque, since some players draw it
    upon the last one; otherwise nothing changes.
    """
    first: Packed | None = None
    last: tuple[UInt8Array, Packed] | None = None
    duration, n_frames = 0.0, 0
    frames = read_frames(animation, background)
    for pixels, own in zip(frames, animation.durations, strict=True):
        packed = pack_colors(pixels)
        first = packed if first is None else first
        if last is not None:
            if can_merge(duration, own) and bool((packed == last[1]).all()):
                duration, n_frames = duration + own, n_frames + 1
                continue
            yield Shot(*last, duration, n_frames, packed)
        last, duration, n_frames = (pixels, packed), own, 1
    if first is not None and last is not None:
        is_clear = bool((first == 0).any())
        yield Shot(*last, duration, n_frames, first if is_clear else last[1])
