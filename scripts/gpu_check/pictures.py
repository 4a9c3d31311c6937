"""Pictures with Python alone: onestep's TIFFs read and compared, pictures and masks written. NumPy if it is there."""
import collections
import functools
import itertools
import operator
import struct
import zlib

try:
    import numpy
except ImportError:
    numpy = None

# Tags of TIFF 6.0, and the lengths of its whole-number types.
WIDTH, HEIGHT, BITS, COMPRESSION, STRIPS, CHANNELS, LENGTHS, PREDICTOR = 256, 257, 258, 259, 273, 277, 279, 317
TYPES = {1: "B", 3: "H", 4: "I"}
DEFLATE = (8, 32946)


def read_tiff(path):
    """(width, height, channels, samples as bytes) of an 8-bit TIFF as onestep writes it."""
    data = path.read_bytes()
    order = {b"II": "<", b"MM": ">"}[data[:2]]
    (at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    tags = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from(order + "HHI", data, entry)
        if kind not in TYPES:
            continue
        form = order + TYPES[kind] * number
        place = entry + 8
        if struct.calcsize(form) > 4:
            (place,) = struct.unpack_from(order + "I", data, place)
        tags[tag] = struct.unpack_from(form, data, place)
    width, height, channels = tags[WIDTH][0], tags[HEIGHT][0], tags.get(CHANNELS, (1,))[0]
    if set(tags[BITS]) != {8} or tags[COMPRESSION][0] not in DEFLATE:
        raise ValueError(f"{path.name} is not the TIFF that was expected")
    strips = zip(tags[STRIPS], tags[LENGTHS])
    packed = b"".join(zlib.decompress(data[start : start + length]) for start, length in strips)
    if tags.get(PREDICTOR, (1,))[0] == 2:
        packed = undo_differences(packed, width, channels)
    if len(packed) != width * height * channels:
        raise ValueError(f"{path.name} has {len(packed)} samples, not {width}×{height}×{channels}")
    return width, height, channels, packed


def undo_differences(samples, width, channels):
    """Each sample was written as its difference from the one to its left."""
    if numpy is not None:
        rows = numpy.frombuffer(samples, numpy.uint8).reshape(-1, width, channels)
        return numpy.cumsum(rows, axis=1, dtype=numpy.uint8).tobytes()
    whole, row = bytearray(samples), width * channels
    for start in range(0, len(whole), row):
        for channel in range(start, start + channels):
            line = whole[channel : start + row : channels]
            whole[channel : start + row : channels] = bytes(v & 255 for v in itertools.accumulate(line))
    return bytes(whole)


def differences(one, other):
    """How many samples of two pictures lie 0, 1, 2 … levels apart."""
    if one[:3] != other[:3]:
        raise ValueError(f"sizes differ: {one[:3]} and {other[:3]}")
    if one[3] == other[3]:
        return collections.Counter({0: len(one[3])})
    if numpy is not None:
        first, second = (numpy.frombuffer(picture[3], numpy.uint8).astype(numpy.int16) for picture in (one, other))
        counts = numpy.bincount(numpy.abs(first - second))
        return collections.Counter({level: int(count) for level, count in enumerate(counts) if count})
    signed = collections.Counter(map(operator.sub, one[3], other[3]))
    found = collections.Counter()
    for level, count in signed.items():
        found[abs(level)] += count
    return found


def write_png(path, width, height, channels, samples):
    """8 bits, grey or RGB, rows as they are."""
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    row = width * channels
    lines = b"".join(b"\0" + samples[at : at + row] for at in range(0, row * height, row))
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2}[channels], 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines, 1)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def write_ppm(path, width, height, samples):
    path.write_bytes(b"P6 %d %d 255\n" % (width, height) + samples)


def write_mask(path, side):
    """White is to be repaired: a box, a thin bar and a slanted stroke."""
    mask = bytearray(side * side)
    box, bar = (side // 8, side // 4, side // 8, side // 4), (0, side, side // 2, side // 2 + 3)
    for y in range(side):
        for left, right, top, bottom in (box, bar):
            if top <= y < bottom:
                mask[y * side + left : y * side + right] = b"\xff" * (right - left)
        left = side // 3 + y // 3
        mask[y * side + left : y * side + left + 5] = b"\xff" * 5
    write_png(path, side, side, 1, bytes(mask))


def colours(width, height, seed):
    """A smooth picture with edges, another one for each seed."""
    wave, rows = ramps(3 + seed % 5), []
    for y in range(height):
        start = (y * (1 + seed % 7) + 64 * (y // 32 % 2) + seed * 37) % 1024
        rows.append(wave[start : start + 3 * width])
    return b"".join(rows)


@functools.lru_cache
def ramps(steepness):
    return bytes(abs(x * steepness % 512 - 256) * 255 // 256 for x in range(4096))
