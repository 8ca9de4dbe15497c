"""Sources: whatever an image comes as, its rows are those of the whole, and are checked."""

import io

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image, ImageCms

from fastkq.files import rows
from fastkq.files.rows import Source
from fastkq.files.source import open_source

HEIGHT, WIDTH = 53, 37
N_PIXELS = HEIGHT * WIDTH
LAYOUTS = [1, 2, 3, 4]
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _short_blocks(monkeypatch):
    monkeypatch.setattr(rows, "BLOCK_PIXELS", 5 * WIDTH)
    monkeypatch.setattr("fastkq.files.tiff.MIN_TIFF_BYTES", 0)


def noise(channels):
    shape = (HEIGHT, WIDTH) if channels == 1 else (HEIGHT, WIDTH, channels)
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def as_file(image, folder):
    (folder / "image.png").write_bytes(png(image))
    return folder / "image.png"


def as_bytes(image, folder):
    return png(image)


def as_file_object(image, folder):
    return io.BytesIO(png(image))


def as_pillow(image, folder):
    return Image.fromarray(image)


def as_array(image, folder):
    return image


def as_memmap(image, folder):
    np.save(folder / "image.npy", image)
    return np.load(folder / "image.npy", mmap_mode="r")


def as_zarr(image, folder):
    array = zarr.create_array(
        folder / "image.zarr", shape=image.shape, chunks=(8, 9, 4)[: image.ndim], dtype="u1"
    )
    array[:] = image
    return array


def as_tiff(image, folder):
    channels = 1 if image.ndim == 2 else image.shape[2]
    tifffile.imwrite(
        folder / "image.tif",
        image,
        photometric="rgb" if channels > 2 else "minisblack",
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        planarconfig="contig" if channels > 1 else None,
        tile=(16, 16),
    )
    return folder / "image.tif"


IN_MEMORY = [as_file, as_bytes, as_file_object, as_pillow, as_array]
BY_BLOCKS = [as_memmap, as_zarr, as_tiff]


@pytest.mark.parametrize("channels", LAYOUTS)
@pytest.mark.parametrize("make", [*IN_MEMORY, *BY_BLOCKS])
def test_a_small_image_is_one_block_in_memory(make, channels, tmp_path):
    image = noise(channels)
    source = open_source(make(image, tmp_path))
    assert np.array_equal(source.array, image)
    assert (source.shape, source.n_pixels) == (image.shape, N_PIXELS)
    assert source.is_gray == (channels < 3)
    (block,) = source
    assert block is not image
    assert np.array_equal(block, image)
    assert not block.flags.writeable


@pytest.mark.parametrize("channels", LAYOUTS)
@pytest.mark.parametrize("make", BY_BLOCKS)
def test_a_large_one_comes_by_blocks_with_its_alpha(make, channels, tmp_path):
    image = noise(channels)
    if channels in (2, 4):
        image[:20, ..., -1] = 255  # opaque blocks keep their channels
    source = open_source(make(image, tmp_path), large_pixels=N_PIXELS - 1)
    assert source.array is None
    assert (source.shape, source.is_gray) == (image.shape, channels < 3)
    for _ in range(2):
        blocks = list(source)
        assert len(blocks) > 2
        assert np.array_equal(np.concatenate(blocks), image)
        assert all(block.flags.c_contiguous and not block.flags.writeable for block in blocks)


@pytest.mark.parametrize("make", IN_MEMORY)
def test_a_large_one_in_memory_stays_there(make, tmp_path, monkeypatch):
    """Its rows come by blocks all the same, so that labels need not be whole."""
    monkeypatch.setattr(rows, "LARGE_PIXELS", N_PIXELS - 1)
    image = noise(3)
    source = open_source(make(image, tmp_path))
    assert np.array_equal(source.array, image)
    assert [len(block) for block in source] == [5] * 10 + [3]
    assert np.array_equal(np.concatenate(list(source)), image)


@pytest.mark.parametrize("make", [*IN_MEMORY, *BY_BLOCKS])
def test_opaque_alpha_is_dropped_from_what_is_whole(make, tmp_path):
    image = noise(4)
    image[..., 3] = 255
    source = open_source(make(image, tmp_path))
    assert np.array_equal(source.array, image[..., :3])
    assert source.shape == (HEIGHT, WIDTH, 3)


def test_names_bytes_and_profiles(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.fromarray(noise(3))
    image.save(tmp_path / "a.png", icc_profile=profile)
    data = (tmp_path / "a.png").read_bytes()
    shape = (HEIGHT, WIDTH, 3)
    for given, name, n_bytes in (
        (tmp_path / "a.png", str(tmp_path / "a.png"), len(data)),
        (data, "<bytes>", len(data)),
        (io.BytesIO(data), "<bytes>", len(data)),
    ):
        source = open_source(given)
        assert (source.name, source.n_bytes, source.icc_profile) == (name, n_bytes, profile)
    with Image.open(io.BytesIO(data)) as opened:
        source = open_source(opened)
    assert (source.name, source.icc_profile) == (f"PngImageFile {shape}", profile)
    source = open_source(np.asarray(image))
    assert (source.name, source.n_bytes) == (f"ndarray {shape}", 3 * N_PIXELS)
    assert open_source(as_memmap(noise(1), tmp_path)).name == f"memmap {shape[:2]}"


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ([noise(3)[:-1]], r"scan: does not give the rows that its shape \(53, 37, 3\) says"),
        ([noise(3), noise(3)[:1]], "scan: does not give the rows"),
        ([noise(4)], "scan: does not give the rows"),
        ([noise(3)[:, :-1]], "scan: does not give the rows"),
        ([noise(3).astype(np.uint16)], "scan: cannot be read: the block has dtype uint16"),
        ([noise(3)[:0]], "scan: cannot be read: the block has shape .* no pixels"),
    ],
)
def test_other_rows_than_the_shape_says_are_an_error(blocks, words):
    source = Source((HEIGHT, WIDTH, 3), "scan", 1, lambda: iter(blocks))
    with pytest.raises(ValueError, match=words):
        list(source)


def test_storage_that_fails_is_one_line(tmp_path):
    def read():
        yield noise(3)[:5]
        raise OSError(5, "input/output\nerror.")

    source = Source((HEIGHT, WIDTH, 3), "scan", 1, read)
    with pytest.raises(ValueError, match=r"^scan: cannot be read: input/output error$"):
        list(source)


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        ([[1, 2]], TypeError, "image is a list; a path, bytes"),
        (np.zeros((3, 3), np.uint16), TypeError, "image has dtype uint16; allowed are"),
        (np.zeros((0, 3), np.uint8), ValueError, "no pixels"),
        (b"", ValueError, "<bytes>: is empty"),
    ],
)
def test_what_is_no_image_is_refused(image, error, words):
    with pytest.raises(error, match=words):
        open_source(image)
