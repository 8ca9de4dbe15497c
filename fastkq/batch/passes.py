"""A bar for one image, or animation, that takes long: how far each pass over it has come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from fastkq.batch.progress import is_terminal
from fastkq.files.frames import Animation
from fastkq.files.rows import Source
from fastkq.types import Array, UInt8Array

# Seconds after which a pass shows its bar: one that is over sooner shows none.
DELAY = 1.0

Part = TypeVar("Part")


class _Passes:
    """Passes over the parts of something, each with a bar on the standard error."""

    def __init__(self, total: int, unit: str) -> None:
        self._total, self._unit = total, unit
        self._n_passes = 0

    def follow(self, parts: Iterator[Part], size: Callable[[Part], int]) -> Iterator[Part]:
        """Yield the parts of one pass; a part is done when the next one is asked for."""
        from tqdm import tqdm

        self._n_passes += 1
        with tqdm(
            total=self._total,
            desc=f"pass {self._n_passes}",
            unit=f" {self._unit}",
            delay=DELAY,
            dynamic_ncols=True,
            leave=False,
        ) as bar:
            for part in parts:
                yield part
                bar.update(size(part))


class _Followed(Animation):
    """An animation whose passes are followed."""

    def __init__(self, animation: Animation) -> None:
        self.__dict__.update(animation.__dict__)
        self._passes = _Passes(len(animation), "frames")

    def __iter__(self) -> Iterator[UInt8Array]:
        return self._passes.follow(super().__iter__(), lambda _: 1)


def with_bar(source: Source | Animation) -> Source | Animation:
    """Have each pass over an image show how far it is, on a terminal and if it takes long.

    An image that is read as one block has nothing to show: it takes a second or two. Of a larger
    one, the rows are counted, of an animation the frames; each is gone through several times: to
    count the colors, to look for what is seen of them, and to write.
    """
    if not is_terminal(sys.stderr):
        return source
    if isinstance(source, Animation):
        return _Followed(source)
    passes = _Passes(source.shape[0], "rows")

    def read() -> Iterator[Array]:
        return passes.follow(source.read(), len)

    return replace(source, read=read)
