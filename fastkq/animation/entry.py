"""Animations beside images: which of the two a source is, and what each is allowed."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from fastkq.animation.painter import Painter
from fastkq.colors.ssimulacra2 import check_sizes
from fastkq.files.animations import open_animation
from fastkq.files.formats import PNG, check_attached, check_shape
from fastkq.files.frames import Animation
from fastkq.files.reading import ReadOptions
from fastkq.files.rows import Source
from fastkq.files.source import read_once
from fastkq.files.write import write_file
from fastkq.options import BLACK, Options
from fastkq.pipeline import compress_source, open_image, reading_for
from fastkq.result import Written
from fastkq.types import ImageSource, PathOrFile


def check_animation(options: Options, animation: Animation) -> None:
    """Raise ValueError for options that an animation cannot follow."""
    given = {
        "weights": options.weights is not None,
        "protect": options.fit.protect,
        "masking": options.masking and options.is_masking_said,
        "paper": options.paper,
        "transparent": options.transparent != BLACK,
        "min_score": options.min_score is not None,
        "max_bytes": options.target is not None and options.target.max_bytes is not None,
        "optimize='oxipng'": isinstance(options.output.optimize, str),
    }
    name = animation.origin.name
    for option, is_given in given.items():
        if is_given:
            raise ValueError(
                f"{name}: is an animation of {len(animation)} frames, and {option} is for one "
                "picture; frame=0 takes the first frame"
            )
    if options.frame_palettes:
        if options.output.format == PNG:
            raise ValueError(
                f"{name}: frame_palettes is given, and a png has one palette for all frames; gif "
                "and webp are allowed"
            )
        if options.palette is not None or options.target is not None:
            other = "palette" if options.palette is not None else "a target"
            raise ValueError(f"frame_palettes is given, and {other}; one of the two is allowed")
    check_shape(animation.shape[1:], options.output.format)
    check_attached(animation.attached, options.output.format)
    if options.score:
        height, width = animation.shape[1:3]
        check_sizes((height, width), (height, width))


def compress_animation(
    animation: Animation,
    options: Options,
    target: PathOrFile | None = None,
    *,
    exclusive: bool = False,
    most: int | None = None,
) -> Written:
    """Count, fit, label and write an animation; see `pipeline.compress_source`."""
    check_animation(options, animation)
    drawn = Painter(animation, options).draw_all()
    data = drawn.data
    fits = most is None or len(data) <= most
    if target is not None and (fits or not isinstance(target, (str, os.PathLike))):
        path, safety = animation.origin.path, options.safety
        write_file(target, data, like=path, exclusive=exclusive, safety=safety)
    return replace(drawn, data=data if target is None else b"", fits=fits)


def find_animation(image: Any, reading: ReadOptions) -> tuple[Animation | None, Any]:
    """Return the animation that an image is, if all of its frames are wanted, or what to open.

    That is the image itself, or the bytes of a file object, which can be read once only.
    """
    if isinstance(image, Animation):
        return (image if reading.frame is None else None), image
    image = read_once(image)
    return (open_animation(image, reading) if reading.frame is None else None), image


def open_any(image: ImageSource | Animation, options: Options) -> Source | Animation:
    """Open an animation whose frames are all wanted, or an image."""
    animation, still = find_animation(image, reading_for(options))
    return open_image(still, options) if animation is None else animation


def compress_any(
    source: Source | Animation,
    options: Options,
    target: PathOrFile | None = None,
    *,
    exclusive: bool = False,
    most: int | None = None,
) -> Written:
    """Write what `open_any` gave; see `pipeline.compress_source`."""
    if isinstance(source, Animation):
        return compress_animation(source, options, target, exclusive=exclusive, most=most)
    return compress_source(source, options, target, exclusive=exclusive, most=most)
