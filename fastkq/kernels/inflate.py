"""A kernel that finds its way through deflated data, without writing what the data says.

libdeflate deflates whole buffers only, and marks the last block of each as the last of all. To join
what several threads deflated, that mark must be taken off, and the bit must be known at which the
block ends: its start, by walking from block to block, and its end, by walking through its codes.
The data is what libdeflate wrote a moment ago, so nothing is checked.
Specification: RFC 1951. The method: gzjoin.c of zlib's examples, which has inflate() stop there.
"""

import numpy as np

from fastkq.kernels.compile import kernel

STORED, FIXED = np.uint64(0), np.uint64(1)
MAX_BITS = 15  # of a code
WORD_BYTES = 8  # that are read at once
N_LITERALS, N_DISTANCES, N_LENGTHS = 288, 32, 19
END_OF_BLOCK = np.uint64(256)
# Where a table has a symbol, and its code's length below it.
SYMBOL_SHIFT, LENGTH_MASK = np.uint64(4), np.uint64(15)
MOST_USED = np.uint64(57 - 15)  # of a word's bits, of which a code may take 15 more
# In this order lengths of the codes of lengths are stored.
ORDER = np.array([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15], np.int64)
# From this symbol on one stands for several lengths: at least so many, with so many bits more.
REPEAT = np.uint64(16)
LEAST, EXTRA = np.array([3, 3, 11], np.int64), np.array([2, 3, 7], np.uint64)


@kernel(inline=True)
def read_word(
    data,  # (N,) uint8, IN: with eight bytes more than the stream
    position,  # uint64: of a bit
):
    """Return the bits from a position on, at least 57 of them."""
    first = position >> np.uint64(3)
    word = np.uint64(0)
    for i in range(np.uint64(WORD_BYTES)):
        word |= np.uint64(data[first + i]) << (np.uint64(8) * i)
    return word >> (position & np.uint64(7))


@kernel()
def fill_codes(
    lengths,  # (320,) uint8, IN: of the codes of symbols, 0 for none
    first,  # int64: where those of this table begin
    n_symbols,  # int64
    table,  # (2^15,) uint16, OUT: by the next bits of the stream, symbol * 16 + length
):
    """Fill the table of a canonical code; return the mask of the bits that it looks at."""
    n_bits, code = np.int64(1), np.int64(0)
    for i in range(n_symbols):
        n_bits = max(n_bits, np.int64(lengths[first + i]))
    for i in range(1 << n_bits):
        table[i] = 1  # of a code that no symbol has: a table may have one alone, or none
    for length in range(1, n_bits + 1):
        for symbol in range(n_symbols):
            if lengths[first + symbol] != length:
                continue
            place = np.int64(0)  # the code's first bit comes first, as the lowest
            for i in range(length):
                place |= ((code >> i) & 1) << (length - 1 - i)
            while place < 1 << n_bits:
                table[place] = np.uint16(symbol << 4 | length)
                place += 1 << length
            code += 1
        code <<= 1
    return np.uint64((1 << n_bits) - 1)


@kernel()
def read_lengths(
    data,  # (N,) uint8, IN
    position,  # uint64: of the bit behind the kind of a block
    lengths,  # (320,) uint8, OUT: of the codes of literals and lengths, then of distances
    table,  # (2^15,) uint16, OUT: scratch
):
    """Read the lengths of the codes of a block; return the position behind them."""
    word = read_word(data, position)
    n_literals = np.int64(257) + np.int64(word & np.uint64(31))
    n_read = n_literals + np.int64(1) + np.int64((word >> np.uint64(5)) & np.uint64(31))
    n_lengths = np.int64(4) + np.int64((word >> np.uint64(10)) & np.uint64(15))
    position += np.uint64(14)
    for i in range(N_LENGTHS):
        lengths[ORDER[i]] = 0
        if i < n_lengths:
            lengths[ORDER[i]] = read_word(data, position) & np.uint64(7)
            position += np.uint64(3)
    mask = fill_codes(lengths, np.int64(0), np.int64(N_LENGTHS), table)
    for i in range(lengths.shape[0]):
        lengths[i] = 0
    place, value = np.int64(0), np.uint8(0)
    while place < n_read:
        word = read_word(data, position)
        found = np.uint64(table[word & mask])
        symbol, n_bits = found >> SYMBOL_SHIFT, found & LENGTH_MASK
        position += n_bits
        times = np.int64(1)
        if symbol < REPEAT:
            value = np.uint8(symbol)
        else:  # the last one, or 0, several times
            n_extra = EXTRA[symbol - REPEAT]
            times = LEAST[symbol - REPEAT] + np.int64(
                (word >> n_bits) & ((np.uint64(1) << n_extra) - np.uint64(1))
            )
            position += n_extra
            value = value if symbol == REPEAT else np.uint8(0)
        for _ in range(times):
            lengths[place if place < n_literals else place - n_literals + N_LITERALS] = value
            place += 1
    return position


@kernel(inline=True)
def extra_length_bits(
    symbol,  # uint64: of a length, 257 to 285
):
    """Return how many bits more a length has."""
    number = symbol - np.uint64(257)
    if number < 8 or number >= 28:
        return np.uint64(0)
    return (number >> np.uint64(2)) - np.uint64(1)


@kernel(inline=True)
def extra_distance_bits(
    symbol,  # uint64: of a distance, 0 to 29
):
    """Return how many bits more a distance has."""
    if symbol < 2:
        return np.uint64(0)
    return (symbol >> np.uint64(1)) - np.uint64(1)


@kernel()
def skip_codes(
    data,  # (N,) uint8, IN
    position,  # uint64: of the first code of a block
    literals,  # (2^15,) uint16, IN: the table of literals and lengths
    distances,  # (2^15,) uint16, IN
    literal_mask,  # uint64: of the bits that the tables look at
    distance_mask,  # uint64
):
    """Return the position behind the last code of a block."""
    while True:
        word, used = read_word(data, position), np.uint64(0)
        while True:
            found = np.uint64(literals[word & literal_mask])
            symbol, n_bits = found >> SYMBOL_SHIFT, found & LENGTH_MASK
            word >>= n_bits
            used += n_bits
            if symbol >= END_OF_BLOCK or used > MOST_USED:
                break
        position += used
        if symbol == END_OF_BLOCK:
            return position
        if symbol > END_OF_BLOCK:
            position += extra_length_bits(symbol)
            found = np.uint64(distances[read_word(data, position) & distance_mask])
            position += (found & LENGTH_MASK) + extra_distance_bits(found >> SYMBOL_SHIFT)


@kernel()
def find_last_block(
    data,  # (N,) uint8, IN: a whole stream of deflate, and eight bytes more
    lengths,  # (320,) uint8, OUT: scratch
    literals,  # (2^15,) uint16, OUT: scratch
    distances,  # (2^15,) uint16, OUT: scratch
    bits,  # (2,) uint64, OUT: where the mark of the last block is, and where the block ends
):
    """Find the bit that marks the last block of a stream, and the bit behind that block."""
    position, is_last = np.uint64(0), False
    while not is_last:
        bits[0] = position
        word = read_word(data, position)
        is_last, kind = word & np.uint64(1) == 1, (word >> np.uint64(1)) & np.uint64(3)
        position += np.uint64(3)
        if kind == STORED:
            position = (position + np.uint64(7)) & ~np.uint64(7)
            n_bytes = read_word(data, position) & np.uint64(0xFFFF)
            position += np.uint64(32) + np.uint64(8) * n_bytes
            continue
        if kind == FIXED:
            for i in range(lengths.shape[0]):
                is_shorter = 256 <= i < 280
                lengths[i] = (
                    5 if i >= N_LITERALS else 7 if is_shorter else 9 if 144 <= i < 256 else 8
                )
        else:
            position = read_lengths(data, position, lengths, literals)
        literal_mask = fill_codes(lengths, np.int64(0), np.int64(N_LITERALS), literals)
        distance_mask = fill_codes(lengths, np.int64(N_LITERALS), np.int64(N_DISTANCES), distances)
        position = skip_codes(data, position, literals, distances, literal_mask, distance_mask)
    bits[1] = position
