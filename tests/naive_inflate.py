"""RFC 1951 read bit by bit: the slow twin of `kernels.inflate`."""

FIXED_LITERALS = [8] * 144 + [9] * 112 + [7] * 24 + [8] * 8
ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)


def find_last_block(data):
    """Return where the mark of the last block of a stream is, and where the block ends, in bits."""
    reader = Reader(data)
    while True:
        start = reader.position
        is_last, kind = reader.number(1), reader.number(2)
        if kind == 0:
            reader.position = -(-reader.position // 8) * 8
            n_bytes = reader.number(16)
            reader.position += 16 + 8 * n_bytes
        else:
            lengths = (FIXED_LITERALS, [5] * 30) if kind == 1 else read_lengths(reader)
            skip_codes(reader, *map(codes, lengths))
        if is_last:
            return start, reader.position


class Reader:
    """Bits of bytes, the lowest first."""

    def __init__(self, data):
        self.data, self.position = data, 0

    def number(self, n_bits):
        value = 0
        for i in range(n_bits):
            value |= (self.data[self.position // 8] >> self.position % 8 & 1) << i
            self.position += 1
        return value

    def symbol(self, symbols):
        code = ""
        while code not in symbols:
            code += str(self.number(1))
        return symbols[code]


def codes(lengths):
    """Return the symbols of a canonical code, by strings of its bits."""
    symbols, code = {}, 0
    for length in range(1, 16):
        for symbol, own in enumerate(lengths):
            if own == length:
                symbols[f"{code:0{length}b}"] = symbol
                code += 1
        code *= 2
    return symbols


def read_lengths(reader):
    n_literals, n_distances = 257 + reader.number(5), 1 + reader.number(5)
    own, lengths = [0] * 19, []
    for place in ORDER[: 4 + reader.number(4)]:
        own[place] = reader.number(3)
    symbols = codes(own)
    while len(lengths) < n_literals + n_distances:
        symbol = reader.symbol(symbols)
        if symbol < 16:
            lengths.append(symbol)
        elif symbol == 16:
            lengths += [lengths[-1]] * (3 + reader.number(2))
        else:
            lengths += [0] * (3 + reader.number(3) if symbol == 17 else 11 + reader.number(7))
    return lengths[:n_literals], lengths[n_literals:]


def skip_codes(reader, literals, distances):
    while (symbol := reader.symbol(literals)) != 256:
        if symbol > 256:
            reader.number(max(0, (symbol - 261) // 4) if symbol < 285 else 0)
            reader.number(max(0, reader.symbol(distances) // 2 - 1))
