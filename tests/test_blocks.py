"""Images that are read by blocks of rows: the same file as from memory, or one clear error."""

import io
import zlib

import numpy as np
import pytest
import test_png
import tifffile
import zarr
from painting import PLAIN
from PIL import Image, ImageCms

import fastkq
from fastkq.colors.histogram import histogram_of_array, histogram_of_blocks
from fastkq.files import rows as blocks
from fastkq.files.png import encode_indexed_png, write_indexed_png
from fastkq.files.read import read_image
from fastkq.files.source import open_source
from fastkq.files.zlib_streams import MIN_STRIP

HEIGHT, WIDTH = 403, 301


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch):
    """Send test images through the blocks: many of them, of few rows."""
    monkeypatch.setattr(blocks, "LARGE_PIXELS", 1 << 14)
    monkeypatch.setattr("fastkq.files.tiff.MIN_TIFF_BYTES", 0)
    monkeypatch.setattr(blocks, "BLOCK_PIXELS", 7 * WIDTH)


def picture(channels, height=HEIGHT):
    """A smooth picture with grain: a few thousand colors, some of them in most pixels."""
    rng = np.random.default_rng(channels)
    ramp = np.linspace(0, 200, height)[:, None, None] + np.linspace(0, 40, WIDTH)[:, None]
    values = ramp + rng.normal(0, 3, (height, WIDTH, channels))
    image = np.clip(values, 0, 255).astype(np.uint8)
    image[: height // 2, : WIDTH // 2] = 77
    return image[..., 0] if channels == 1 else image


class Rows:
    """The least that an array-like has."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        return self.array[rows]


def as_memmap(image, folder):
    np.save(folder / "image.npy", image)
    return np.load(folder / "image.npy", mmap_mode="r")


def as_zarr(image, folder):
    array = zarr.create_array(
        folder / "image.zarr", shape=image.shape, chunks=(50, 64, 3)[: image.ndim], dtype="uint8"
    )
    array[:] = image
    return array


def as_object(image, folder):
    return Rows(image)


def as_tiff(**options):
    def make(image, folder):
        photometric = "rgb" if image.ndim == 3 else "minisblack"
        tifffile.imwrite(folder / "image.tif", image, photometric=photometric, **options)
        return folder / "image.tif"

    return make


SOURCES = {
    "memmap": as_memmap,
    "zarr": as_zarr,
    "object": as_object,
    "tiff, tiles": as_tiff(tile=(64, 48)),
    "tiff, deflated tiles": as_tiff(tile=(64, 48), compression="zlib", predictor=True),
    "bigtiff, tiles": as_tiff(tile=(64, 48), bigtiff=True, byteorder=">"),
    "tiff, strips": as_tiff(rowsperstrip=5, compression="lzw"),
    "tiff, one strip": as_tiff(),
}


def in_memory(image, n_colors=256, **options):
    """The file of an image that is quantized whole, and its result."""
    result = fastkq.quantize(image, n_colors, **options)
    file = io.BytesIO()
    assert result.save(file) == len(file.getvalue())
    return file.getvalue(), result


@pytest.mark.parametrize("n_colors", [7, 256])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_the_same_bytes_as_in_memory(make, channels, n_colors, tmp_path):
    image = picture(channels)
    source = make(image, tmp_path)
    report = fastkq.compress(source, tmp_path / "out.png", n_colors, allow_larger=True, **PLAIN)
    expected, result = in_memory(image, n_colors)
    written = (tmp_path / "out.png").read_bytes()
    assert written == expected
    assert (report.mse, report.psnr, report.n_iter) == (result.mse, result.psnr, result.n_iter)
    assert (report.width, report.height) == (WIDTH, HEIGHT)
    assert report.target_bytes == len(written)
    assert (report.n_colors, report.source_bytes > 0) == (len(result.palette), True)
    with Image.open(io.BytesIO(written)) as opened:
        assert np.array_equal(np.asarray(opened), result.labels)
    fastkq.compress(np.asarray(image), tmp_path / "array.png", n_colors, **PLAIN)
    assert (tmp_path / "array.png").read_bytes() == expected


def test_an_image_below_the_limit_is_written_as_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "LARGE_PIXELS", HEIGHT * WIDTH)
    image = picture(3)
    fastkq.compress(as_memmap(image, tmp_path), tmp_path / "out.png", **PLAIN)
    result = fastkq.quantize(image)
    assert (tmp_path / "out.png").read_bytes() == encode_indexed_png(result.labels, result.palette)


def test_opaque_alpha_is_dropped_and_other_kept(tmp_path):
    image = np.dstack([picture(3), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    fastkq.compress(Rows(image), tmp_path / "out.png", **PLAIN)
    assert (tmp_path / "out.png").read_bytes() == in_memory(image)[0]
    tiff = tmp_path / "image.tif"
    tifffile.imwrite(tiff, image, photometric="rgb", extrasamples=["unassalpha"], tile=(64, 64))
    fastkq.compress(tiff, tmp_path / "tiff.png", **PLAIN)
    assert (tmp_path / "tiff.png").read_bytes() == in_memory(image)[0]
    image[-1, -1, 3] = 254
    fastkq.compress(Rows(image), tmp_path / "new.png", **PLAIN)
    assert (tmp_path / "new.png").read_bytes() == in_memory(image)[0]


def test_a_color_profile_of_a_tiff_is_kept(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source = as_tiff(tile=(64, 64), iccprofile=profile)(picture(3), tmp_path)
    fastkq.compress(source, tmp_path / "out.png", **PLAIN)
    assert (tmp_path / "out.png").read_bytes() == in_memory(source)[0]
    with Image.open(tmp_path / "out.png") as opened:
        assert opened.info["icc_profile"] == profile


def test_fast_is_exact_here(tmp_path, monkeypatch):
    monkeypatch.setattr("fastkq.colors.sampling.MIN_PIXELS", 1 << 12)
    image = picture(3)
    fastkq.compress(Rows(image), tmp_path / "fast.png", effort="fast", **PLAIN)
    assert (tmp_path / "fast.png").read_bytes() == in_memory(image, effort="fast")[0]
    assert (tmp_path / "fast.png").read_bytes() == in_memory(image)[0]


@pytest.mark.parametrize("cuts", [[], [1], [100, 101, 350], range(1, HEIGHT)])
def test_blocks_count_as_the_whole(cuts):
    """Also where counters are full at the end of a block: half the pixels are of one color."""
    for image in (picture(3), picture(1)):
        whole = histogram_of_array(image)
        parts = [np.ascontiguousarray(part) for part in np.split(image, list(cuts))]
        for _ in range(2):  # the tables are left clean
            counted = histogram_of_blocks(parts, image.shape)
            assert np.array_equal(counted.codes, whole.codes)
            assert np.array_equal(counted.counts, whole.counts)
        assert counted.n_pixels == HEIGHT * WIDTH


@pytest.mark.parametrize("n_colors", [2, 4, 16, 256])
def test_the_stream_is_one_whatever_the_blocks_and_threads(n_colors):
    labels, palette = test_png.picture(700, 5003, n_colors)
    assert labels.nbytes > 3 * MIN_STRIP
    files = []
    for cuts, n_threads in (([], 1), ([1, 2, 650], 3), (range(0, 700, 64), 2)):
        file = io.BytesIO()
        parts = np.split(labels, list(cuts))
        size = write_indexed_png(file, labels.shape, parts, palette, n_threads=n_threads)
        files.append(file.getvalue())
        assert size == len(files[-1])
    assert files[0] == files[1] == files[2]
    streams = [
        b"".join(data for kind, data in test_png.parse(file) if kind == b"IDAT")
        for file in (files[0], encode_indexed_png(labels, palette))
    ]
    assert zlib.decompress(streams[0]) == zlib.decompress(streams[1])
    with Image.open(io.BytesIO(files[0])) as opened:
        assert np.array_equal(np.asarray(opened), labels)


class Failing(Rows):
    """Rows that cannot be read in the second pass."""

    reads = 0

    def __getitem__(self, rows):
        self.reads += 1
        if self.reads > 70:  # of 58 blocks a pass
            raise self.error
        return super().__getitem__(rows)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(5, "input/output error"), ValueError),
        (RuntimeError("no such chunk"), ValueError),
        (MemoryError(), MemoryError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_an_interrupted_write_leaves_what_was_there(error, raised, tmp_path):
    (tmp_path / "out.png").write_bytes(b"before")
    source = Failing(picture(3))
    source.error = error
    with pytest.raises(raised, match=r"Failing \(403, 301, 3\): cannot be read|^$"):
        fastkq.compress(source, tmp_path / "out.png", **PLAIN)
    assert source.reads == 71
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]
    assert (tmp_path / "out.png").read_bytes() == b"before"


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fastkq.quantize(picture(3)).save(Full())
    monkeypatch.setattr("fastkq.files.zlib_streams.deflate_open", lambda strip: Full().write(strip))
    with pytest.raises(OSError, match=r"out\.png: cannot be written: No space left"):
        fastkq.compress(Rows(picture(3)), tmp_path / "out.png", **PLAIN)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("n_rows", [HEIGHT - 5, HEIGHT + 5])
def test_a_wrong_number_of_rows_is_found_out(n_rows):
    image = picture(3, n_rows)
    rows = blocks.Source((HEIGHT, WIDTH, 3), "scan", image.size, lambda: iter([image]))
    with pytest.raises(ValueError, match=r"scan: does not give the rows .*\(403, 301, 3\)"):
        list(rows)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (np.zeros((300, 300), np.uint16), TypeError, "dtype uint16; allowed are .*uint8"),
        (np.zeros((300, 300, 5), np.uint8), ValueError, r"shape \(300, 300, 5\); allowed are"),
        (np.zeros(90_000, np.uint8), ValueError, r"shape \(90000,\); allowed are"),
        (np.zeros((0, 300), np.uint8), ValueError, "no pixels"),
        ([[1, 2], [3, 4]], TypeError, "image is a list; a path, .* or a NumPy array is allowed"),
        (b"bytes", ValueError, "<bytes>: is no image of a known format"),
    ],
)
def test_what_is_no_image_is_refused(source, error, message, tmp_path):
    with pytest.raises(error, match=message):
        fastkq.compress(source, tmp_path / "out.png", **PLAIN)
    assert list(tmp_path.iterdir()) == []


def with_alpha(image):
    return np.dstack([image, np.linspace(0, 255, WIDTH).astype(np.uint8) + 0 * image[..., 0]])


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (picture(1), {"photometric": "miniswhite"}),
        (picture(1).astype(np.uint16) * 200, {}),
        (picture(3).astype(np.uint16) * 200, {"photometric": "rgb"}),
        (np.moveaxis(picture(3), 2, 0).copy(), {"photometric": "rgb", "planarconfig": "separate"}),
        (picture(1), {"extratags": [(274, 3, 1, 6, False)]}),
        (with_alpha(picture(3)), {"photometric": "rgb", "extrasamples": ["unspecified"]}),
        (with_alpha(picture(3)), {"photometric": "rgb", "extrasamples": ["assocalpha"]}),
        (picture(3), {"photometric": "ycbcr"}),
        (with_alpha(picture(3)), {"photometric": "separated"}),
        (picture(1), {"photometric": "palette", "colormap": np.arange(768).reshape(3, 256) * 80}),
    ],
)
@pytest.mark.parametrize("layout", [{"tile": (64, 64)}, {"rowsperstrip": 7}])
def test_large_tiffs_that_are_no_blocks_are_decoded_whole(image, options, layout, tmp_path):
    """What tifffile would give by tiles is not what the image looks like, or no 8 bits."""
    if "colormap" in options:
        options = {**options, "colormap": options["colormap"].astype(np.uint16)}
    options = {"photometric": "minisblack", **layout, **options}
    tifffile.imwrite(tmp_path / "image.tif", image, **options)
    source = open_source(tmp_path / "image.tif")
    assert np.array_equal(source.array, read_image(tmp_path / "image.tif").array)
    assert source.n_pixels == HEIGHT * WIDTH
    # The test is one of what is read by blocks: a plain image is.
    plain = as_tiff(tile=(64, 64))(picture(3), tmp_path)
    assert open_source(plain).array is None


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("layout", [{"tile": (64, 64)}, {}, {"compression": "lzw"}])
def test_alpha_comes_by_blocks(channels, layout, tmp_path):
    image = picture(channels)
    tifffile.imwrite(
        tmp_path / "image.tif",
        image,
        photometric="rgb" if channels == 4 else "minisblack",
        planarconfig="contig",
        extrasamples=["unassalpha"],
        **layout,
    )
    source = open_source(tmp_path / "image.tif")
    assert (source.array, source.shape) == (None, image.shape)
    assert np.array_equal(np.concatenate(list(source)), image)
    assert np.array_equal(image, read_image(tmp_path / "image.tif").array)


def test_jpeg_tiles_are_converted(tmp_path):
    image = picture(3)
    tifffile.imwrite(
        tmp_path / "image.tif", image, photometric="rgb", tile=(64, 64), compression="jpeg"
    )
    with tifffile.TiffFile(tmp_path / "image.tif") as tiff:
        assert tiff.pages[0].photometric.name == "YCBCR"
    source = open_source(tmp_path / "image.tif")
    assert source.array is None
    whole = read_image(tmp_path / "image.tif").array
    difference = np.concatenate(list(source)).astype(int) - whole
    assert np.abs(difference).max() <= 3  # two decoders of JPEG
    assert np.abs(whole.astype(int) - image).mean() < 8


def sparse_tiff(folder, left_out):
    """A tiled TIFF; of some tiles, the offset and the length are those given."""
    path = as_tiff(tile=(64, 64))(picture(3), folder)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        page = tiff.pages[0]
        offsets, lengths = list(page.dataoffsets), list(page.databytecounts)
        for tile, (offset, length) in left_out.items():
            offsets[tile], lengths[tile] = offset, length
        page.tags["TileOffsets"].overwrite(offsets)
        page.tags["TileByteCounts"].overwrite(lengths)
    return path


def test_tiles_that_were_left_out_are_black(tmp_path):
    path = sparse_tiff(tmp_path, {0: (0, 0), 8: (0, 0)})
    expected = picture(3)
    expected[:64, :64] = 0
    expected[64:128, 192:256] = 0
    assert np.array_equal(np.concatenate(list(open_source(path))), expected)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({3: (0, 12288)}, "1 of its 35 tiles are not in the file, the first at byte 0 with 12288"),
        ({3: (400, 0), 4: (400, 0)}, "2 of its 35 tiles are not in the file, .* with 0 bytes"),
        ({3: (1 << 31, 12288)}, "1 of its 35 tiles are not in the file, the first at byte 2147483"),
        ({3: (400_000, 60_000)}, "1 of its 35 tiles are not in the file"),
    ],
)
def test_tiles_that_are_missing_are_an_error(changed, words, tmp_path):
    """They were black, with exit code 0."""
    path = sparse_tiff(tmp_path, changed)
    with pytest.raises(ValueError, match=rf"image\.tif: is damaged: {words}"):
        fastkq.compress(path, tmp_path / "out.png", **PLAIN)
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("layout", [{"tile": (64, 64)}, {"rowsperstrip": 7, "compression": "lzw"}])
def test_too_few_tiles_are_an_error(layout, tmp_path):
    """As where a bit of the offset of the offsets is turned."""
    path = as_tiff(**layout)(picture(3), tmp_path)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tags = tiff.pages[0].tags
        tag = tags["TileOffsets"] if "tile" in layout else tags["StripOffsets"]
        tag.overwrite(list(tag.value)[:5])
    with pytest.raises(ValueError, match=r"is damaged: it has 5 offsets and \d+ lengths of"):
        open_source(path)


def test_a_turned_bit_in_the_tags_is_never_a_black_image(tmp_path):
    """Each gives the image, another one of the whole size, or an error; black tiles never."""
    path = as_tiff(tile=(64, 64), compression="zlib")(picture(3), tmp_path)
    data = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        tags = [tiff.pages[0].tags[name] for name in ("TileOffsets", "TileByteCounts")]
        places = [tag.offset + byte for tag in tags for byte in range(12)]
    n_errors = 0
    for place in places:
        for bit in (0, 3, 7):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            try:
                image = np.concatenate(list(open_source(path)))
            except (ValueError, OSError):
                n_errors += 1
            else:
                assert image.any(axis=2).mean() > 0.99, (place, bit)
    assert n_errors > len(places)


@pytest.mark.parametrize("name", ["TileWidth", "TileLength", "ImageWidth", "RowsPerStrip"])
@pytest.mark.parametrize("value", [0, (64, 64)])
def test_tags_that_make_no_sense_are_one_error_or_no_matter(name, value, tmp_path):
    layout = {"rowsperstrip": 64} if name == "RowsPerStrip" else {"tile": (64, 64)}
    path = as_tiff(**layout)(picture(3), tmp_path)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags[name].overwrite(value)
    outcome = None
    try:
        outcome = open_source(path).n_pixels
    except ValueError as error:
        outcome = str(error)
    is_image = isinstance(outcome, int) and outcome >= HEIGHT * 64
    assert is_image or outcome.startswith(f"{path}: ")


def test_a_damaged_tiff_is_one_error(tmp_path):
    source = as_tiff(tile=(64, 64), compression="zlib")(picture(3), tmp_path)
    data = bytearray(source.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    source.write_bytes(data)
    with pytest.raises(ValueError, match=r"image\.tif: cannot be (read|decoded)"):
        fastkq.compress(source, tmp_path / "out.png", **PLAIN)
    assert not (tmp_path / "out.png").exists()


def test_mapped_pages_are_given_back_but_changes_are_kept(tmp_path):
    image = picture(3)
    np.save(tmp_path / "image.npy", image)
    for mode in ("r+", "c"):
        mapped = np.load(tmp_path / "image.npy", mmap_mode=mode)
        mapped[5] = 255
        fastkq.compress(mapped, tmp_path / "out.png", **PLAIN)
        changed = image.copy()
        changed[5] = 255
        assert np.array_equal(mapped, changed)
        assert (tmp_path / "out.png").read_bytes() == in_memory(changed)[0]
