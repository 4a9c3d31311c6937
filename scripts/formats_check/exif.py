"""Exif made byte by byte: both byte orders, a place, a thumbnail, and a maker's note whose offsets count from the head
of the file, so that they are wrong as soon as anybody moves it. Exif 3.0."""
import struct

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 1, 2, 3, 4, 5, 7
BYTES = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, UNDEFINED: 1}
# Words that stand in no picture but ours: `strip` and `no-gps` must leave none of them, in whatever place.
AUTHOR, PLACE = "Secret Author", "Secret Place"


class Exif:
    """A TIFF structure that grows at its end."""

    def __init__(self, order):
        self.order = order

    def pack(self, form, *values):
        return struct.pack(self.order + form, *values)

    def ascii(self, text):
        return ASCII, text.encode("ascii") + b"\0"

    def short(self, *values):
        return SHORT, self.pack(f"{len(values)}H", *values)

    def long(self, value):
        return LONG, self.pack("I", value)

    def rational(self, *pairs):
        return RATIONAL, b"".join(self.pack("2I", *pair) for pair in pairs)

    def directory(self, at, entries, following=0):
        """The directory at this offset, and its longer values behind it. A value may be made for where it lies."""
        data_at = at + 2 + 12 * len(entries) + 4
        head, data = self.pack("H", len(entries)), b""
        for tag, (kind, value) in sorted(entries.items()):
            value = value(data_at + len(data)) if callable(value) else value
            head += self.pack("HHI", tag, kind, len(value) // BYTES[kind])
            if len(value) <= 4:
                head += value.ljust(4, b"\0")
            else:
                head += self.pack("I", data_at + len(data))
                data += value + bytes(len(value) % 2)
        return head + self.pack("I", following) + data

    def makers_note(self, at):
        """As Canon's: a directory whose offsets count from the head."""
        camera = {0x0006: self.ascii("A camera that never was"), 0x0007: self.ascii("Firmware 1.2.3")}
        return self.directory(at, {**camera, 0x0009: self.ascii(AUTHOR)})


def exif(orientation, size, order="<", thumbnail=b"", place=True, density=300):
    """Exif of a picture of this size, as a TIFF structure."""
    made = Exif(order)
    more = {
        0x829A: made.rational((1, 250)), 0x829D: made.rational((28, 10)), 0x8827: made.short(400),
        0x9000: (UNDEFINED, b"0232"), 0x9003: made.ascii("2023:05:06 07:08:09"), 0x9101: (UNDEFINED, b"\1\2\3\0"),
        0x927C: (UNDEFINED, made.makers_note), 0x9286: (UNDEFINED, b"ASCII\0\0\0Some words"),
        0xA000: (UNDEFINED, b"0100"), 0xA001: made.short(1), 0xA002: made.long(size[0]), 0xA003: made.short(size[1]),
        0xA434: made.ascii("A lens"),
    }
    area = b"ASCII\0\0\0" + PLACE.encode("ascii")
    where = {
        0: (BYTE, b"\2\3\0\0"), 1: made.ascii("N"), 2: made.rational((52, 1), (31, 1), (1234, 100)),
        3: made.ascii("E"), 4: made.rational((13, 1), (24, 1), (5678, 100)), 0x1C: (UNDEFINED, area),
        0x1D: made.ascii("2023:05:06"),
    }

    def first(more_at, where_at, following):
        entries = {
            0x010E: made.ascii("What is seen"), 0x010F: made.ascii("Canon"), 0x0110: made.ascii("A model"),
            0x0112: made.short(orientation), 0x011A: made.rational((density, 1)), 0x011B: made.rational((density, 1)),
            0x0128: made.short(2), 0x0131: made.ascii("A program"), 0x013B: made.ascii(AUTHOR),
            0x0213: made.short(1), 0x8298: made.ascii("Copyright 2023"), 0x8769: made.long(more_at),
        }
        if place:
            entries[0x8825] = made.long(where_at)
        return made.directory(8, entries, following)

    more_at = 8 + len(first(0, 0, 0))
    where_at = more_at + len(made.directory(more_at, more))
    places = made.directory(where_at, where) if place else b""
    second_at = where_at + len(places)
    small = {0x0103: made.short(6), 0x011A: made.rational((72, 1)), 0x011B: made.rational((72, 1)),
             0x0128: made.short(2), 0x0202: made.long(len(thumbnail))}
    small_at = second_at + len(made.directory(second_at, {**small, 0x0201: made.long(0)}))
    second = made.directory(second_at, {**small, 0x0201: made.long(small_at)}) + thumbnail if thumbnail else b""
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + made.pack("I", 8)
    body = first(more_at, where_at, second_at if thumbnail else 0)
    return head + body + made.directory(more_at, more) + places + second
