"""Which pages a TIFF has, of the images in it: smaller copies and masks of a page are none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fastkq.files.errors import PixelsNotAllowedError
from fastkq.files.signatures import TIFF, find_format

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

# Bits of the tag NewSubfileType, and values of the older SubfileType.
NEW_TYPE, OLD_TYPE, WIDTH = 254, 255, 256
REDUCED, MASK = 1, 4
OLD_REDUCED = 2
MAX_IMAGES = 10_000  # more are not looked for: a file of megabytes can chain a million


def is_page(new_type: object, old_type: object) -> bool:
    """Return whether an image of a TIFF is a page, by its tags."""
    new_type = new_type if isinstance(new_type, int) else 0
    return not new_type & (REDUCED | MASK) and old_type != OLD_REDUCED


def find_pages(image: PillowImage) -> list[int]:
    """Return the places of the pages among the images of a TIFF that is open.

    Its first image is always one. Of the others those count that have a width, even if they cannot
    be decoded. Where the chain of images is damaged, it ends.
    """
    pages = [0]
    for place in range(1, MAX_IMAGES):
        try:
            image.seek(place)
        except EOFError:
            break
        except MemoryError:
            raise
        except Exception:
            # Of a kind that is not supported, or damaged: Pillow raises anything, and may stay
            # where it is.
            if _tags(image).get(WIDTH) is None:
                break
        tags = _tags(image)
        if is_page(tags.get(NEW_TYPE), tags.get(OLD_TYPE)):
            pages.append(place)
    return pages


def _tags(image: PillowImage) -> Any:
    return image.tag_v2  # type: ignore[attr-defined]


def turn_to_page(image: PillowImage, page: int | str | None) -> int:
    """Have an open TIFF show a page, from 1; return its place among the images.

    Raises
    ------
    PixelsNotAllowedError
        There is no such page; or none is named, and there are several.
    """
    pages = find_pages(image)
    index = pages[check_page(len(pages), page) - 1]
    image.seek(index)
    return index


def check_page(n_pages: int, page: int | str | None) -> int:
    """Return the page to read, from 1, of a file of so many.

    Raises
    ------
    PixelsNotAllowedError
        There is no such page; or none is named, and there are several.
    """
    has = f"has {n_pages} page{'s' if n_pages > 1 else ''}"
    named = f"page 1 to {n_pages}" if n_pages > 1 else "page 1"
    if page is None and n_pages > 1:
        raise PixelsNotAllowedError(
            f"{has}, each an image; {named} is allowed, or in a batch 'all' (--page)"
        )
    if isinstance(page, str):
        raise PixelsNotAllowedError(
            f"{has}, and page is {page!r}, which is for batches; {named} is allowed"
        )
    if page is not None and page > n_pages:
        raise PixelsNotAllowedError(f"{has}, and page is {page}; {named} is allowed")
    return page or 1


def count_pages(path: str) -> int:
    """Return how many pages a file has; 1 where that cannot be told, as reading it will."""
    from fastkq.files.decode import open_file, open_image

    if not os.path.isfile(path):
        return 1
    try:
        with open_file(path) as file:
            if find_format(file) != TIFF:
                return 1
            with open_image(file, TIFF) as image:
                return len(find_pages(image))
    except MemoryError:
        raise
    except Exception:
        return 1
