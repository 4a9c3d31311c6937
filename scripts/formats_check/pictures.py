"""The pixels that all pictures here are made of, as arrays, and the files that no library at hand writes."""
import dataclasses
import pathlib
import struct
import zlib

import numpy

SIZE = WIDTH, HEIGHT = 96, 64
# PNG's colour types.
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6


@dataclasses.dataclass
class Case:
    """A picture that is given to onestep."""

    path: pathlib.Path
    # Its row in the table of pixels, and the name of its format in the table of metadata.
    row: str
    kind: str
    # What it shows, where Pillow cannot be asked: upright, sRGB, of any depth (an array of the right type).
    shown: numpy.ndarray | None = None
    # exiftool's arguments that finish it.
    told: list = dataclasses.field(default_factory=list)
    # Its colours may come out wrong without failing the run: the table says whether they do.
    colours_are_open: bool = False
    # Its row in the table of metadata, of what it was made to have one thing; else all of its own.
    only: str | None = None


def colours():
    """RGB of 0 to 1, as no turn of it is itself: slopes, a saturated block and disc, a bar, stripes."""
    y, x = numpy.mgrid[:HEIGHT, :WIDTH].astype(float)
    picture = numpy.stack([0.25 + 0.5 * x / WIDTH, 0.3 + 0.4 * y / HEIGHT, 0.7 - 0.4 * x / WIDTH], axis=2)
    picture[6:24, 8:36] = (0.88, 0.12, 0.10)
    picture[(x - 70) ** 2 + (y - 44) ** 2 < 144] = (0.10, 0.20, 0.85)
    picture[40:56, 8:24] = (0.10, 0.75, 0.20)
    picture[8:14, 50:88] = 0.95
    stripes = (x // 4 % 2 == 0) & (y >= 22) & (y < 28) & (x >= 52) & (x < 84)
    picture[stripes] = 0.08
    return picture


def lightness():
    return colours() @ (0.2126, 0.7152, 0.0722)


def softness():
    """Alpha of 0 to 1: a disc whose edge is eight pixels wide, over nothing."""
    y, x = numpy.mgrid[:HEIGHT, :WIDTH].astype(float)
    return numpy.clip((30 - numpy.hypot(x - 44, (y - 32) * 1.2)) / 8 + 0.5, 0, 1)


def with_alpha(picture, alpha, bare=True):
    """Where nothing is seen the colour is black, as most programs leave it, unless not `bare`."""
    picture = picture if picture.ndim == 3 else picture[:, :, None]
    picture = numpy.where(alpha[:, :, None] > 0, picture, 0) if bare else picture
    return numpy.concatenate([picture, alpha[:, :, None]], axis=2)


def eight(picture):
    return numpy.rint(picture * 255).astype(numpy.uint8)


def sixteen(picture):
    return numpy.rint(picture * 65535).astype(numpy.uint16)


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(samples, colour_type, bits, chunks=()):
    """A PNG of these samples (height × width × channels, or without the last), with chunks before its pixels."""
    samples = samples.reshape(*samples.shape[:2], -1)
    if bits == 16:
        lines = [row.astype(">u2").tobytes() for row in samples]
    elif bits == 8:
        lines = [row.astype(numpy.uint8).tobytes() for row in samples]
    else:
        places = numpy.arange(bits)[::-1]
        lines = [numpy.packbits((row[:, :1] >> places) & 1).tobytes() for row in samples]
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], bits, colour_type, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + line for line in lines)))
    all_chunks = [chunk(b"IHDR", header), *(chunk(*one) for one in chunks), pixels, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(all_chunks)


def pam(samples, kind):
    samples = samples.reshape(*samples.shape[:2], -1)
    height, width, depth = samples.shape
    most = 65535 if samples.dtype == numpy.uint16 else 255
    head = f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {depth}\nMAXVAL {most}\nTUPLTYPE {kind}\nENDHDR\n"
    return head.encode("ascii") + samples.astype(">u2" if most > 255 else "u1").tobytes()


def pnm(samples, magic):
    most = 65535 if samples.dtype == numpy.uint16 else 255
    head = f"{magic}\n{samples.shape[1]} {samples.shape[0]}\n{most}\n".encode("ascii")
    return head + samples.astype(">u2" if most > 255 else "u1").tobytes()


def bmp(samples):
    """RGBA of 8 bits with a header of version 4, which says where alpha is."""
    height, width, _ = samples.shape
    body = samples[::-1, :, [2, 1, 0, 3]].tobytes()
    header = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, len(body), 2835, 2835, 0, 0)
    header += struct.pack("<5I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000, 0x73524742) + bytes(48)
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(body), 0, 0, 14 + len(header)) + header + body
