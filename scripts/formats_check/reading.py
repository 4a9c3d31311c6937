"""What other programs read in a picture: exiftool what it says of itself, Pillow, pypng and tifffile its pixels, and
LittleCMS (by Pillow) its colours. Nothing here knows what was hoped for."""
import functools
import io
import json
import subprocess
import warnings

import numpy
import png
import tifffile
from PIL import Image, ImageCms, UnidentifiedImageError

from . import profiles

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
ORIENTATION = 0x0112
# How a picture that was stored so is turned upright.
TURNS = {number: Image.Transpose(turn) for number, turn in ((2, 0), (3, 3), (4, 1), (5, 5), (6, 4), (7, 6), (8, 2))}
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def tags(folders):
    """What exiftool says of each file, by its path: {(group, tag): value}, and the warnings."""
    words = ["exiftool", "-j", "-n", "-a", "-G1:4", "-r", "-validate", "-warning", "-error", "-all"]
    told = subprocess.run([*words, *folders], capture_output=True, text=True, check=False)
    found = {}
    for file in json.loads(told.stdout):
        pieces, complaints = {}, set()
        for key, value in file.items():
            *groups, tag = key.split(":")
            if tag in ("Warning", "Error"):
                complaints.add(str(value))
            elif groups:
                pieces[groups[0], tag] = value
        found[file["SourceFile"]] = pieces, complaints
    return found


@functools.lru_cache
def samples(path):
    """All samples of a PNG or TIFF of 16 bits as they are, height × width × channels; else None."""
    start = path.read_bytes()[:4]
    if start == b"\x89PNG":
        width, height, rows, info = png.Reader(str(path)).read()
        if info["bitdepth"] == 16:
            rows = numpy.array([numpy.frombuffer(row.tobytes(), numpy.uint16) for row in rows])
            return rows.reshape(height, width, info["planes"])
    if start[:2] in (b"II", b"MM"):
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            if page.dtype == numpy.uint16:
                return page.asarray().reshape(page.imagelength, page.imagewidth, -1)
    return None


def opened(path):
    """The picture as Pillow has it, with 8 bits a sample, turned as its Exif or XMP says."""
    deep = samples(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if deep is not None:
            return turned_deep(path, of_samples(deep))
        with Image.open(path) as file:
            turn = TURNS.get(file.getexif().get(ORIENTATION))
            file.load()
            image, profile = file, file.info.get("icc_profile") or said_otherwise(path, file.info)
            if image.mode in ("P", "PA", "1") or "transparency" in image.info:
                clear = image.mode == "PA" or "transparency" in image.info
                image = image.convert("RGBA" if clear else "L" if image.mode == "1" else "RGB")
            elif image.mode.startswith("I"):
                image = of_samples(numpy.asarray(image).astype(numpy.uint16)[:, :, None])
            elif image.mode in ("RGBa", "RGBX", "YCbCr"):
                image = image.convert("RGBA" if image.mode == "RGBa" else "RGB")
            # Of a TIFF Pillow turns the pixels as it loads them.
            turn = None if file.format == "TIFF" else turn
            return (image if turn is None else image.transpose(turn)), profile


def said_otherwise(path, info):
    """A profile of what a PNG says by cICP (if that is Display P3), or by gAMA and cHRM, where it says both."""
    if b"cICP\x0c\x0d\0\x01" in path.read_bytes()[:4096]:
        return profiles.display_p3()
    if "gamma" not in info or "chromaticity" not in info:
        return None
    primaries = info["chromaticity"][2:]
    pairs = tuple(zip(primaries[0::2], primaries[1::2]))
    return profiles.matrix_profile("gAMA", pairs, profiles.gamma(1 / info["gamma"]))


def turned_deep(path, image):
    """A picture of 16 bits, of some of which Pillow makes nothing: then it has no profile and is upright."""
    try:
        with Image.open(path) as file:
            turn, profile = TURNS.get(file.getexif().get(ORIENTATION)), file.info.get("icc_profile")
            return (image if turn is None else image.transpose(turn)), profile
    except UnidentifiedImageError:
        return image, None


def of_samples(array):
    """Any samples as a picture of 8 bits."""
    array = array if array.ndim == 3 else array[:, :, None]
    if array.dtype == numpy.uint16:
        array = ((array.astype(numpy.uint32) + 128) // 257).astype(numpy.uint8)
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array, MODES[array.shape[2]])


def colours(image, profile):
    """RGBA of 0 to 255 in sRGB, as LittleCMS converts it; without a profile it is sRGB already."""
    alpha = numpy.full((image.height, image.width, 1), 255.0)
    if image.mode in ("LA", "RGBA"):
        alpha[:, :, 0] = numpy.asarray(image.getchannel("A"))
        image = image.convert(image.mode[:-1])
    if profile:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        image = ImageCms.profileToProfile(image, own, SRGB, outputMode="RGB")
    return numpy.concatenate([numpy.asarray(image.convert("RGB")).astype(float), alpha], axis=2)


def size(path):
    deep = samples(path)
    if deep is not None:
        return deep.shape[1], deep.shape[0]
    with Image.open(path) as file:
        return file.size


def form(path):
    """What its pixels are: (channels' name, bits)."""
    deep = samples(path)
    if deep is not None:
        return MODES[deep.shape[2]], 16
    with Image.open(path) as file:
        return file.mode, 8


def chunks(path):
    """The chunks of a PNG that say how its numbers are meant, by name."""
    if path.read_bytes()[:4] != b"\x89PNG":
        return {}
    return {name.decode(): body for name, body in png.Reader(str(path)).chunks() if name in (b"gAMA", b"cHRM", b"cICP")}


@functools.lru_cache
def told(path):
    """What Pillow has beside the pixels, and the texts of a PNG; nothing of what it does not read."""
    try:
        with Image.open(path) as file:
            file.load()
            return file.info, getattr(file, "text", {})
    except (UnidentifiedImageError, OSError):
        return {}, {}


def density(path):
    """Dots an inch, as Pillow understands it."""
    dots = told(path)[0].get("dpi")
    return tuple(round(float(value)) for value in dots) if dots else None


def texts(path):
    info, known = told(path)
    found = {key: str(value) for key, value in known.items() if key not in ("onestep", "XML:com.adobe.xmp")}
    comment = info.get("comment")
    if comment:
        found["Comment"] = comment.decode() if isinstance(comment, bytes) else comment
    return found


def profile_of(path):
    return told(path)[0].get("icc_profile")
