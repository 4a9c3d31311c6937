"""A picture beside its result, as other programs read both: which promises are broken, and what was carried. Knows
nothing of how onestep works, and asks only other programs."""
import fnmatch
import functools

import numpy

from . import reading
from .exif import AUTHOR, PLACE

SCALE, BLOCK = 2, 8
# Differences of 0 to 255, in sRGB. Blocks: a lost profile moves the most saturated of them by 20 and more.
BLOCK_LEVELS, MEAN_LEVELS, FRINGE_LEVELS = 8, 1.5, 24
EXIF = ("IFD0", "ExifIFD", "InteropIFD")
# Exif that the result must say of itself, and what a TIFF says of how its pixels lie.
OF_PIXELS = {
    "Orientation", "ImageWidth", "ImageHeight", "ExifImageWidth", "ExifImageHeight", "BitsPerSample", "Compression",
    "PhotometricInterpretation", "StripOffsets", "StripByteCounts", "RowsPerStrip", "SamplesPerPixel", "Predictor",
    "PlanarConfiguration", "SampleFormat", "ExtraSamples", "FillOrder", "SubfileType", "TileWidth", "TileLength",
    "TileOffsets", "TileByteCounts", "ColorMap", "YCbCrSubSampling", "ReferenceBlackWhite", "JPEGTables", "InkSet",
    "PageNumber", "T6Options", "XResolution", "YResolution", "ResolutionUnit",
}
OWNERS = ("Artist", "Copyright")
EXTENSION = ("XMP-xmpNote", "HasExtendedXMP")
CHANGED_XMP = {EXTENSION[1], "XMPToolkit", "Orientation"}
CHANGED_XMP |= {"ImageWidth", "ImageHeight", "ExifImageWidth", "ExifImageHeight"}
# What exiftool complains of in results that are as they are meant: our mark, which stands where strangers may put
# theirs; Deflate, which came to TIFF after version 6; Exif of a JPEG within a TIFF, for which other rules are written.
MEANT = (
    "[[]minor] Unknown APP15 'onestep' segment", "[[]minor] Unknown IFD0 tag 0xfeb1",
    "Invalid value for IFD0 tag 0x0103 Compression",
    "[[]minor] * is not allowed in TIFF", "Missing required TIFF GPS tag *", "Missing required TIFF ExifIFD tag *",
)
# What may be left of a picture that was stripped.
MADE = ("XMPToolkit", "DigitalSourceType")
BARE = {
    "File", "System", "ExifTool", "Composite", "JFIF", "RIFF", "PNG", "PNG-cICP", "PNG-pHYs", "GIF", "Adobe"}


class Seen:
    """What other programs say of one file."""

    def __init__(self, path, tags, complaints):
        self.path, self.tags, self.complaints = path, tags, complaints

    def of(self, groups, without=()):
        return {key: value for key, value in self.tags.items() if key[0] in groups and key[1] not in without}

    def begins(self, group, without=()):
        return {key: value for key, value in self.tags.items() if key[0].startswith(group) and key[1] not in without}

    def get(self, group, tag):
        return self.tags.get((group, tag))


# What a picture may say of itself: how it is read. Nothing where it says nothing.
PIECES = {
    "ICC": lambda seen: reading.profile_of(seen.path),
    "Exif": lambda seen: seen.of(("ExifIFD", "InteropIFD"), OF_PIXELS) and seen.of(EXIF, OF_PIXELS),
    "author, copyright": lambda seen: {key: value for key, value in seen.of(("IFD0",)).items() if key[1] in OWNERS},
    "makers' note": lambda seen: seen.of(("Canon",)),
    "GPS": lambda seen: seen.of(("GPS",)),
    "XMP": lambda seen: seen.begins("XMP-", CHANGED_XMP),
    "IPTC": lambda seen: seen.of(("IPTC",)),
    "density": lambda seen: reading.density(seen.path),
    "texts": lambda seen: reading.texts(seen.path),
    "gamma, primaries": lambda seen: {key: body for key, body in reading.chunks(seen.path).items() if key != "cICP"},
    "cICP": lambda seen: reading.chunks(seen.path).get("cICP"),
}
CARRIED, PARTLY, LOST = "✓", "in part", "–"


def carried(piece, original, result):
    """None where the picture says nothing of the kind; else whether its result says the same."""
    said = PIECES[piece](original)
    if not said:
        return None
    says = PIECES[piece](result)
    if not isinstance(said, dict):
        return CARRIED if says == said else LOST
    kept = [key for key, value in said.items() if (says or {}).get(key) == value]
    return CARRIED if len(kept) == len(said) else PARTLY if kept else LOST


def shape(case, result):
    """What its pixels are, in words; of colours that may come out wrong, whether they did."""
    mode, bits = reading.form(result.path)
    name = {"1": "grey", "L": "grey", "LA": "grey+α", "RGB": "RGB", "RGBA": "RGB+α"}.get(mode, mode)
    off = case.colours_are_open and any(of_pixels(case, result))
    return f"{name} {bits}{', colours off' * off}"


def broken(case, original, result, column):
    """Sentences: what is not as it was promised."""
    yield from of_size(result)
    if not case.colours_are_open:
        yield from of_pixels(case, result)
    said, says = (reading.profile_of(seen.path) for seen in (original, result))
    # Of grey that becomes RGB (WebP), and of what a PNG says by gAMA, cHRM or cICP, colours tell whether rightly.
    is_made = says and (not said or said[16:20] != says[16:20])
    if says and said != says and not is_made and not case.colours_are_open:
        yield "its ICC profile is another"
    for complaint in sorted(result.complaints - original.complaints):
        if not any(fnmatch.fnmatchcase(complaint, meant) for meant in MEANT):
            yield f"exiftool: {complaint}"
    if EXTENSION in result.tags and b"http://ns.adobe.com/xmp/extension/" not in result.path.read_bytes():
        yield "XMP names an extension that is not there"
    yield from of_secrets(result, column)


@functools.lru_cache
def shown(path):
    return reading.colours(*reading.opened(path))


def of_pixels(case, result):
    """Upright, twice as large, and of the same colours?"""
    wanted = shown(case.path) if case.shown is None else reading.colours(reading.of_samples(case.shown), None)
    try:
        found = reading.colours(*reading.opened(result.path))
    except reading.ImageCms.PyCMSError:
        yield "its profile is not one of its pixels: LittleCMS refuses it"
        return
    except OSError as error:
        yield f"Pillow cannot read it: {error}"
        return
    deep = reading.samples(result.path)
    if deep is not None and not (deep % 257).any():
        yield "its 16 bits hold 8"
    if found.shape[:2] == tuple(SCALE * side for side in wanted.shape[:2]):
        yield from of_colours(wanted, found)
    else:
        yield f"{found.shape[1]}×{found.shape[0]} pixels of {wanted.shape[1]}×{wanted.shape[0]}"


def of_size(result):
    """Sizes and orientations that are told beside the pixels."""
    size = dict(zip(("Width", "Height"), reading.size(result.path)))
    for (group, tag), value in result.tags.items():
        if tag == "Orientation" and value != 1:
            yield f"{group} says orientation {value}"
        side = next((side for side in size if tag in (f"Image{side}", f"ExifImage{side}")), None)
        if side and group != "File" and value != size[side]:
            yield f"{group}:{tag} says {value} where there are {size[side]}"
        if group == "IFD1" or tag == "ThumbnailImage":
            yield f"there is a thumbnail: {group}:{tag}"


def of_colours(wanted, found):
    """Over white and over black, in blocks; and how dark soft edges are."""
    is_opaque = (found[:, :, 3] == 255).all()
    for ground in (255,) if is_opaque else (255, 0):
        before, after = over(wanted, ground), halved(over(found, ground))
        blocks = numpy.abs(block_means(before) - block_means(after)).max()
        mean = numpy.abs(before.mean(axis=(0, 1)) - after.mean(axis=(0, 1))).max()
        if blocks > BLOCK_LEVELS or mean > MEAN_LEVELS:
            yield f"colours over {ground} differ by {blocks:.0f} levels in a block, {mean:.1f} in the mean"
        edge = (wanted[:, :, 3] > 0) & (wanted[:, :, 3] < 255)
        # Hard edges are the network's business; here are those that begin and end softly.
        if edge.sum() > 100:
            darker = (before - after)[edge].mean(axis=1)
            side = darker if ground == 255 else -darker
            if side.max() > FRINGE_LEVELS:
                yield f"a fringe over {ground}: {side.max():.0f} levels off at a soft edge"


def over(picture, ground):
    alpha = picture[:, :, 3:] / 255
    return picture[:, :, :3] * alpha + ground * (1 - alpha)


def halved(picture):
    return block_means(picture, SCALE)


def block_means(picture, side=BLOCK):
    height, width = (length // side * side for length in picture.shape[:2])
    cut = picture[:height, :width]
    return cut.reshape(height // side, side, width // side, side, -1).mean(axis=(1, 3))


def of_secrets(result, column):
    """What is left of what was not to be kept, as a tag or as bytes of the file."""
    data = result.path.read_bytes()
    if column in ("`no-gps`", "`copyright`", "`strip`"):
        places = [f"{group}:{tag}" for group, tag in result.tags if "GPS" in group or "GPS" in tag]
        if places or PLACE.encode() in data:
            yield f"the place is left: {', '.join(places) or 'as bytes'}"
    if column == "`strip`":
        groups = {group for group, tag in result.tags if not group.startswith("ICC") and tag not in MADE}
        more = groups - BARE - ({"IFD0"} if result.path.suffix == ".tif" else set())
        if more or AUTHOR.encode() in data:
            yield f"not stripped of {', '.join(sorted(more)) or 'the author'}"
