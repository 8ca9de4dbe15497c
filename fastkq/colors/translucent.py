from __future__ import annotations


class TranslucentColors:
    n_pixels = 0

    def __len__(self):
        return 0

    def __add__(self, o):
        return self


NO_TRANSLUCENT = TranslucentColors()


def count_translucent(pixels, weights=None):
    return NO_TRANSLUCENT, int((pixels[:, 3] == 0).sum())
