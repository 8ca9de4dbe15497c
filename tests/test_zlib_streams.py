"""Streams that several threads deflate: whole for zlib, and the same on any number of them."""

import zlib
from concurrent.futures import ThreadPoolExecutor

import deflate
import naive_inflate
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastkq import kernels
from fastkq.files import zlib_streams
from fastkq.files.zlib_streams import count_strip_rows, deflate_open, deflate_strips


def contents(size, seed=0):
    """Data of a size that deflates to each kind of block there is."""
    rng = np.random.default_rng(seed)
    yield "noise", rng.integers(0, 256, size, np.uint8)  # stored as it is
    yield "zeros", np.zeros(size, np.uint8)
    yield "ramp", (np.arange(size) // 7 % 251).astype(np.uint8)
    yield "two values", rng.integers(0, 2, size, np.uint8)
    yield "few values", np.minimum(rng.geometric(0.1, size), 255).astype(np.uint8)
    yield "runs", np.repeat(rng.integers(0, 256, size // 40 + 1, np.uint8), 40)[:size]


def find_last_block(deflated):
    kernel, bits = kernels.inflate, np.zeros(2, np.uint64)
    tables = np.full((2, 1 << kernel.MAX_BITS), 0xFFFF, np.uint16)  # what is left of other blocks
    lengths = np.full(kernel.N_LITERALS + kernel.N_DISTANCES, 99, np.uint8)
    data = np.frombuffer(deflated + bytes(kernel.WORD_BYTES), np.uint8)
    kernel.find_last_block(data, lengths, *tables, bits)
    return tuple(bits.tolist())


@pytest.mark.parametrize("size", [0, 1, 2, 7, 100, 5003, 40_000])
@pytest.mark.parametrize("level", [0, 1, 6, 12])
def test_the_last_block_is_found_as_by_reading_bit_by_bit(size, level):
    for name, data in contents(size):
        deflated = deflate.deflate_compress(data, level)
        assert find_last_block(deflated) == naive_inflate.find_last_block(deflated), name


def test_all_kinds_of_blocks_are_among_them():
    """Stored, with fixed codes, with codes of their own; and streams of several blocks."""
    kinds, n_later = set(), 0
    for size in (1, 100, 700_000):
        for _, data in contents(size):
            deflated = deflate.deflate_compress(data, 6)
            kinds.add(deflated[0] >> 1 & 3)
            n_later += find_last_block(deflated)[0] > 0
    assert kinds == {0, 1, 2}
    assert n_later > 3


@settings(deadline=None, max_examples=150)
@given(data=st.binary(max_size=3000), times=st.integers(1, 5), level=st.sampled_from([1, 6, 9, 12]))
def test_any_bytes(data, times, level):
    deflated = deflate.deflate_compress(data * times, level)
    assert find_last_block(deflated) == naive_inflate.find_last_block(deflated)


@pytest.mark.parametrize("size", [0, 1, 300, 70_001, 800_000])
def test_open_strips_are_one_stream_of_the_same_bytes(size):
    strips = [data for seed in range(3) for _, data in contents(size, seed)]
    joined = b"".join(map(deflate_open, strips)) + zlib_streams.END
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    assert inflater.decompress(joined) == b"".join(strip.tobytes() for strip in strips)
    assert inflater.eof
    assert inflater.unused_data == b""


@pytest.mark.parametrize("n_ahead", [1, 100])
def test_the_stream_is_one_on_any_number_of_threads(n_ahead):
    rows = np.concatenate([data for _, data in contents(1 << 18)]).reshape(-1, 512)
    streams = set()
    for n_threads in (1, 2, 4):
        with ThreadPoolExecutor(n_threads) as pool:
            strips = iter(np.split(rows, range(100, len(rows), 100)))
            streams.add(b"".join(deflate_strips(strips, pool, n_ahead)))
    (stream,) = streams
    assert zlib.decompress(stream) == rows.tobytes()


@pytest.mark.parametrize(
    ("n_rows", "row_bytes", "n_strip_rows"),
    [
        (4000, 6001, 500),  # 24 MP: eight strips
        (2000, 2001, 524),  # strips of a megabyte, at least
        (40_000, 40_001, 104),  # of four, at most
        (2, 1 << 25, 1),
    ],
)
def test_strips_of_an_image(n_rows, row_bytes, n_strip_rows):
    assert count_strip_rows(n_rows, row_bytes) == n_strip_rows
