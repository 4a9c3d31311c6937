"""ICC profiles made from published primaries: what they say is known, and nobody's licence is on them. ICC.1:2001."""
import itertools
import struct

import numpy

D50 = numpy.array([0.9642, 1.0, 0.8249])
D65 = numpy.array([0.95047, 1.0, 1.08883])
BRADFORD = numpy.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
# x and y of red, green and blue.
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
DISPLAY_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
# Cyan, magenta, yellow and black ink on paper, in linear light of sRGB's primaries: nothing that 1 - c - k would give.
INKS = ((0.02, 0.33, 0.60), (0.55, 0.03, 0.22), (0.80, 0.62, 0.03), (0.03, 0.03, 0.03))
GRID = 7


def display_p3(padding=0):
    curve = [linear(step / 1023) for step in range(1024)]
    return matrix_profile("Display P3", DISPLAY_P3, table(curve), padding)


def adobe_rgb():
    return matrix_profile("Adobe RGB", ADOBE_RGB, gamma(563 / 256))


def grey(exponent=1.8):
    """Grey whose gamma is not that of sRGB."""
    return profile(b"mntr", b"GRAY", b"XYZ ", "Grey gamma", [(b"wtpt", xyz(D50)), (b"kTRC", gamma(exponent))])


def inks():
    """CMYK → Lab, by Neugebauer's equations with a dot gain."""
    return profile(b"prtr", b"CMYK", b"Lab ", "Inks", [(b"wtpt", xyz(D50)), (b"A2B0", ink_table())])


def matrix_profile(name, primaries, curve, padding=0):
    matrix = to_d50(primaries)
    tags = [(b"wtpt", xyz(D50))]
    tags += [(tag, xyz(matrix[:, number])) for number, tag in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))]
    tags += [(tag, curve) for tag in (b"rTRC", b"gTRC", b"bTRC")]
    if padding:
        # What a maker keeps for itself; no pattern, so that nothing packs it.
        private = b"data\0\0\0\0\0\0\0\1" + numpy.random.default_rng(1).bytes(padding)
        tags.append((b"prvt", private))
    return profile(b"mntr", b"RGB ", b"XYZ ", name, tags)


def profile(kind, space, connection, name, tags):
    """The header, the table of tags, the tags; equal ones are stored once."""
    tags = [(b"desc", description(name)), (b"cprt", b"text\0\0\0\0No copyright, use freely\0"), *tags]
    at, places, body, entries = 128 + 4 + 12 * len(tags), {}, b"", b""
    for tag, data in tags:
        if data not in places:
            places[data] = at + len(body)
            body += data + bytes(-len(data) % 4)
        entries += tag + struct.pack(">II", places[data], len(data))
    size = at + len(body)
    date = struct.pack(">6H", 2024, 1, 1, 0, 0, 0)
    head = struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x02400000, kind, space, connection) + date
    head += b"acsp" + bytes(4 * 7) + struct.pack(">3i", *(round(value * 65536) for value in D50))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + entries + body


def description(text):
    plain = text.encode("ascii") + b"\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(plain)) + plain + bytes(4 + 4 + 2 + 1 + 67)


def xyz(values):
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(float(value) * 65536) for value in values))


def gamma(exponent):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(exponent * 256))


def table(values):
    return b"curv\0\0\0\0" + struct.pack(f">I{len(values)}H", len(values), *(round(value * 65535) for value in values))


def linear(value):
    """sRGB's curve, which is Display P3's too."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def to_d50(primaries):
    """Linear RGB with D65 as white → XYZ with D50, as Bradford adapts it."""
    columns = numpy.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    matrix = columns * numpy.linalg.solve(columns, D65)
    scale = (BRADFORD @ D50) / (BRADFORD @ D65)
    return numpy.linalg.inv(BRADFORD) @ numpy.diag(scale) @ BRADFORD @ matrix


def ink_table():
    """lut16Type (mft2): four inputs, three outputs, no curves."""
    steps = numpy.linspace(0, 1, GRID) ** 0.8  # The dot gain.
    light = numpy.empty((GRID, GRID, GRID, GRID, 3))
    for place in itertools.product(range(GRID), repeat=4):
        amounts, colour = steps[list(place)], numpy.ones(3)
        for amount, ink in zip(amounts, INKS):
            colour = colour * (1 - amount + amount * numpy.array(ink))
        light[place] = colour
    cube = lab(light.reshape(-1, 3) @ to_d50(SRGB).T)
    packed = numpy.stack([cube[:, 0] / 100 * 65280, (cube[:, 1] + 128) * 256, (cube[:, 2] + 128) * 256], axis=1)
    identity = struct.pack(">2H", 0, 65535)
    head = b"mft2\0\0\0\0" + struct.pack(">4B", 4, 3, GRID, 0) + struct.pack(">9i", *(65536, 0, 0, 0) * 2, 65536)
    body = numpy.clip(packed.round(), 0, 65535).astype(">u2").tobytes()
    return head + struct.pack(">2H", 2, 2) + identity * 4 + body + identity * 3


def lab(values):
    ratio = values / D50
    root = numpy.where(ratio > 216 / 24389, numpy.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    x, y, z = root.T
    return numpy.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
