"""What callers use, image by image: each function checks its options and composes the stages."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike

from fastkq import pipeline
from fastkq.animation.entry import check_animation, find_animation
from fastkq.animation.shots import count_frames_together
from fastkq.colors.histogram import ColorHistogram
from fastkq.engine.fit import fit_histogram
from fastkq.engine.model import DEFAULT_MAX_ITER
from fastkq.files.frames import Animation
from fastkq.options import FitKeywords, ReadKeywords, check_options
from fastkq.result import QuantizeResult
from fastkq.types import MAX_COLORS, ImageSource, QualityRange, UInt8Array


def quantize(
    image: ImageSource,
    n_colors: int = MAX_COLORS,
    *,
    effort: str = "balanced",
    color_space: str = "srgb",
    init: str | ArrayLike = "wu",
    max_iter: int = DEFAULT_MAX_ITER,
    tol: float | None = None,
    random_state: int | np.random.Generator | None = 0,
    weights: ArrayLike | None = None,
    locked: ArrayLike | None = None,
    protect: bool = False,
    masking: bool = False,
    paper: bool = False,
    dither: str = "none",
    dither_strength: float = 1.0,
    lossy: float = 0,
    quality: QualityRange | None = None,
    max_mse: float | None = None,
    min_psnr: float | None = None,
    background: str | ArrayLike | None = None,
    transparent: str = "black",
    score: bool = False,
    min_score: float | None = None,
    max_pixels: int | None = None,
    allow_truncated: bool = False,
    page: int | None = None,
    icc: str = "keep",
    metadata: str = "none",
    frame: int | None = None,
) -> QuantizeResult:
    """Replace the colors of an image by the few that represent it best: exact K-means.

    Parameters
    ----------
    image : path, bytes, file object, PIL image or array
        (H, W) gray, (H, W, 2) gray + alpha, (H, W, 3) RGB or (H, W, 4) RGBA of uint8; memory maps
        and Zarr arrays are arrays too.
    n_colors : int
        1 to 256. The palette has exactly so many colors, or all of the image's where those are
        fewer; the result is then lossless. With `quality` and the like, it has at most so many.
    effort : {"fast", "balanced", "best"}
        "balanced" is exact K-means. "best" goes on from its end: it merges and splits clusters
        while that helps, for 1 to 5 % less error in ten times the time. "fast" takes half the time
        for photos of over 0.4 MP, at 1 to 5 % more error: it fits the palette to a sample, labels
        the colors of each 2x2x2 cube alike, and estimates `inertia`. It is "balanced" for images of
        few colors or of over 67 MP, in Oklab, and beside a target, `weights`, `protect` or
        `masking`.
    color_space : {"srgb", "oklab"}
        Where distances are measured. "srgb" has the least squared error and the highest PSNR;
        "oklab" spends more colors where the eye tells them apart, and looks closer to the original.
    init : {"wu", "k-means++", "random"} or (n_colors, 3 or 4) array_like
        The initial centers: Wu's variance cut of the color cube (the best), greedy k-means++ over
        its cells, random distinct pixels, or those given.
    max_iter : int
        K-means ends after so many iterations, 0 (the rounded initial centers) or more.
    tol : float, optional
        K-means ends when the squared distances of centers to the means of their clusters add up to
        `tol` times the mean variance of a channel, by default 1e-5 n_colors; 0: when none moves.
    random_state : int, numpy.random.Generator or None
        The seed of the random choices of `init`; None takes a fresh one each time.
    weights : (H, W) array_like of real numbers, optional
        How much each pixel counts for the palette, 0 or more; only their ratios matter. Integers
        count as if each pixel came so often, others are rounded to 16 bits of the largest. All
        pixels are labeled, and `inertia`, `mse` and `psnr` are those of all, unweighted.
    locked : (L, 3) or (L, 4) array_like of uint8, optional
        Up to n_colors distinct colors that the palette must have exactly, used or not. They are its
        first entries, in their order, and the others are fitted around them.
    protect : bool
        Whether patches of opaque pixels of a color far from all of the palette, such as a red sign
        in a gray street, get entries of their own, for some error elsewhere. Single pixels do not.
    masking : bool
        Whether pixels count more for the palette where they are flat or smooth than in texture,
        which hides errors, and rare colors more than by their pixels: closer to the original for
        the eye, at more squared error. Not beside `weights`.
    paper : bool
        Whether the paper of a scan, a light color with 40 % of all pixels near it, is made one
        color first, so that its grain takes no entries. Errors and scores are those after that.
    dither : {"none", "diffusion", "ordered", "adaptive"}
        Dithering mixes palette entries, so that smooth gradients show no steps. "diffusion" passes
        each pixel's error on to its neighbours (Floyd and Steinberg). "adaptive" does so less where
        the image is flat or smooth, for less noise there and smaller files. "ordered" does so
        within squares of 2x2 pixels, by their place, so that what stands still in a film holds
        still. All compare colors in Oklab, or in light where a palette is coarse; "ordered" then
        decides by a mask of blue noise. `labels` are then not the nearest entries, and `inertia` is
        that of what is shown.
    dither_strength : float
        0 (none) to 1.
    lossy : float
        How many errors are made for fewer bytes, 0 (none) to 200; 20 to 50 suit photos, and beyond
        100 all can see them. Not with "ordered" dithering.
        Labels are chosen by their error and by the bits that they take, most freely in texture, and
        all errors are passed on as by "diffusion". What is exactly in the palette stays so.
    quality : (min, max), 0 to 100, optional
        The palette has as few colors as reach `max`, on a scale like that of pngquant (100 is
        lossless, 0 anything; see `fastkq.engine.search.quality_to_mse`). If not even `n_colors`
        reach it, the palette has those, and it is an error if they do not reach `min`.
    max_mse : float, optional
        The palette has as few colors as keep the squared error a pixel, over all channels, to this.
    min_psnr : float, 0 to 200, optional
        The palette has as few colors as reach so many dB. At most one of these three is allowed;
        they bound the error before dithering. The result is that of the number of colors that was
    XX    background : "#rrggbb" or (3,) array_like of uint8, optional
        The color that an image with transparent pixels is laid over; the result is opaque.
    transparent : {"black", "keep", "bleed"}
        Which color lies under an alpha of 0, where nobody sees it but a filter that mixes
        neighbours, as game engines do: black, the image's own, or that of the nearest visible
        pixels. All but "black" take up to a sixteenth of the palette.
    score : bool
        Whether the result has a `score`, that of `ssimulacra2`; not if the image comes by blocks.
    min_score : float, 0 to 100, optional
        Be as `lossy` as reaches this `score`, by at most six trials.
    max_pixels : int, optional
        A file whose header says more pixels is refused before it is decoded. By default that keeps
        the memory below about 2 GB, whatever a file of some kB says: 179 megapixels for files that
        are decoded whole, 2147 megapixels for TIFF that come by blocks. It is of a frame of an
        animation. Arrays and PIL images, which are in memory already, are not bound.
    allow_truncated : bool
        Whether a file that ends early is read as far as it goes, the rest left gray, black or
        transparent as its decoder fills it. By default that is an error.
    page : int, optional
        Which page of a TIFF, from 1. By default its only one: a file of several is an error.
    icc : {"keep", "srgb", "strip"}
        What becomes of a color profile, or of what a PNG says in its stead (gAMA, cHRM, sRGB,
        cICP). It comes along, and the palette has the file's own values; a file that cannot hold it
        gets sRGB. "srgb" converts the colors; "strip" drops it and leaves the values, which then
        look otherwise. Gray and CMYK with a profile are always converted. Palettes from files are
        sRGB, and are converted to what the image has.
    metadata : {"none", "keep"}
        Whether EXIF and XMP come along, with the place where a photo was taken if they have it. The
        orientation is applied, and not kept. The density comes along in any case.
    frame : int, optional
        Which frame of an animated GIF, PNG or WebP is taken; 0 is the first. `compress` writes all.

    Returns
    -------
    QuantizeResult, the same on any number of threads

    Notes
    -----
    An image with transparent pixels gets a palette (K, 4), its transparent entries first, behind
    the locked ones. The squared error is then that over black and over white, halved: over an
    unknown background, colors are alike if they look alike on both. Opaque pixels take opaque
    entries. Fully transparent ones have an entry of alpha 0 (but not with a single color: that is
    for what can be seen). Effort "fast" is "balanced" there. An opaque image with an alpha channel
    gives what it gives without.

    Raises
    ------
    TargetNotReachedError
        Not even `n_colors` reach the target; it says what they do. A ValueError.
    AnimationError
        The image is an animation, and `frame` is not given. A ValueError.
    ImageReadError
        The file is damaged, no such image, or has more pixels than are allowed. An OSError and a
        ValueError.
    ValueError, TypeError, OSError
        What is not such an image or option; the message says what came and what is allowed.

    Examples
    --------
    >>> import fastkq, numpy as np
    >>> ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    >>> result = fastkq.quantize(ramp, n_colors=4)
    >>> sorted(result.palette[:, 0].tolist()), result.labels.shape, round(result.psnr, 1)
    ([32, 96, 160, 224], (16, 16), 22.8)
    >>> len(fastkq.quantize(ramp, min_psnr=30).palette)
    10
    """
    options = check_options(
        n_colors,
        effort=effort,
        color_space=color_space,
        init=init,
        max_iter=max_iter,
        tol=tol,
        random_state=random_state,
        weights=weights,
        locked=locked,
        protect=protect,
        masking=masking,
        paper=paper,
        dither=dither,
        dither_strength=dither_strength,
        lossy=lossy,
        quality=quality,
        max_mse=max_mse,
        min_psnr=min_psnr,
        background=background,
        transparent=transparent,
        score=score,
        min_score=min_score,
        max_pixels=max_pixels,
        allow_truncated=allow_truncated,
        page=page,
        icc=icc,
        metadata=metadata,
        frame=frame,
    )
    return pipeline.quantize_source(pipeline.open_image(image, options), options)


def color_histogram(
    image: ImageSource | Animation, **reading: Unpack[ReadKeywords]
) -> ColorHistogram:
    """Count the distinct colors of an image.

    Parameters
    ----------
    image : what `quantize` takes
        Gray is counted as R = G = B; of an animation without `frame`, all frames are.
    max_pixels, allow_truncated, page, icc, frame
        As in `quantize`.

    Returns
    -------
    ColorHistogram
        The same however the pixels come. Histograms of several images add up.

    Raises
    ------
    ValueError, TypeError, OSError
        What is not a readable 8-bit image.
    """
    options = check_options(**reading)
    animation, still = find_animation(image, options.reading)
    if animation is not None:
        return count_frames_together(animation, None)
    return pipeline.count_source(pipeline.open_image(still, options))


def fit_palette(
    image: ImageSource | Animation | ColorHistogram,
    n_colors: int = MAX_COLORS,
    **options: Unpack[FitKeywords],
) -> UInt8Array:
    """Find the palette that represents an image, or a histogram of several, best.

    Parameters
    ----------
    image : ColorHistogram or what `quantize` takes
        Of an animation, the palette is that of all frames; `frame` chooses one.
    n_colors, effort, color_space, init, max_iter, tol, random_state, locked
        As in `quantize`; a histogram is taken as it is.
    weights, protect, masking, background, paper
        As in `quantize`; for an image only, whose pixels have places.
    max_pixels, allow_truncated, page, icc
        As in `quantize`.

    Returns
    -------
    (K, 3) uint8, or (K, 4) for an image with transparent pixels

    Examples
    --------
    >>> import fastkq, numpy as np
    >>> dark, light = np.full((4, 4), 10, np.uint8), np.full((4, 4), 200, np.uint8)
    >>> both = fastkq.color_histogram(dark) + fastkq.color_histogram(light)
    >>> fastkq.fit_palette(both, n_colors=2).tolist()
    [[10, 10, 10], [200, 200, 200]]
    """
    checked = check_options(n_colors, **options)
    if not isinstance(image, ColorHistogram):
        animation, still = find_animation(image, checked.reading)
        if animation is None:
            return pipeline.find_fit(pipeline.open_image(still, checked), checked).palette
        check_animation(checked, animation)
        image = count_frames_together(animation, checked.background)
        checked = replace(checked, background=None)
    if checked.needs_places or checked.background is not None or checked.paper:
        given = {"weights": checked.weights, "background": checked.background}
        names = [name for name, value in given.items() if value is not None]
        others = {"paper": checked.paper, "masking": checked.masking, "protect": True}
        names += [name for name, is_given in others.items() if is_given]
        raise ValueError(f"image is a ColorHistogram; {names[0]} needs an image, with its places")
    if len(image) == 0:
        raise ValueError("image is a ColorHistogram of no pixels; one of some pixels is allowed")
    return fit_histogram(image, checked.fit).palette


def remap(
    image: ImageSource,
    palette: ArrayLike | str | os.PathLike[str],
    *,
    dither: str = "none",
    dither_strength: float = 1.0,
    lossy: float = 0,
    background: str | ArrayLike | None = None,
    **reading: Unpack[ReadKeywords],
) -> UInt8Array:
    """Label every pixel with its nearest palette entry, or dither.

    Parameters
    ----------
    image : what `quantize` takes
    palette : (K, 3) or (K, 4) uint8 array_like, or path of a palette file
        1 to 256 colors, with alpha for any image. Files: .gpl (GIMP), .act (Photoshop), .hex,
        .json, or an image of so few colors; an indexed one's palette in its order.
    dither, dither_strength, lossy, background, max_pixels, allow_truncated, page, icc, frame
        As in `quantize`.

    Returns
    -------
    (H, W) uint8
        Rows of the palette, which keeps its order; of equally near entries, the lowest. With alpha,
        near is what looks alike over black and white backgrounds, and opaque pixels take opaque
        entries if there are any; see `quantize`.

    Raises
    ------
    ValueError, TypeError, OSError
        What is not such an image or palette, or cannot be read.

    Examples
    --------
    >>> import fastkq, numpy as np
    >>> image = np.array([[[9, 9, 9], [240, 240, 240], [90, 90, 90]]], np.uint8)
    >>> fastkq.remap(image, [[0, 0, 0], [255, 255, 255]]).tolist()
    [[0, 1, 0]]
    """
    options = check_options(
        palette=palette,
        dither=dither,
        dither_strength=dither_strength,
        lossy=lossy,
        background=background,
        **reading,
    )
    source = pipeline.open_image(image, options)
    return pipeline.collect(source, pipeline.find_fit(source, options), options).labels
