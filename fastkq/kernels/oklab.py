"""The matrices of Oklab, which `dither` compiles into its kernels and `colors.spaces` works with.

They stand here, without Numba, because kernels import nothing of fastkq from outside this folder:
what is compiled depends on the files of this folder only.
"""

import numpy as np

# From linear sRGB to the responses of the three cones, and from their cube roots to Oklab.
RGB_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
LMS_TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
