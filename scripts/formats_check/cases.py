"""Which pictures are made, in which formats, and what they are told to say of themselves."""
import io
import subprocess
import zlib

import numpy
import tifffile
from PIL import Image, ImageOps

from . import pictures, profiles
from .exif import AUTHOR, PLACE, exif
from .pictures import Case, bmp, eight, sixteen

IPTC = ["-IPTC:CodedCharacterSet=UTF8", "-IPTC:Caption-Abstract=Grün", f"-IPTC:By-line={AUTHOR}", "-IPTC:City=Town"]
IPTC += ["-IPTC:Keywords=one", "-IPTC:Keywords=two", "-IPTC:CopyrightNotice=Copyright 2023"]
XMP = ["-XMP-dc:Title=Grün", f"-XMP-dc:Creator={AUTHOR}", "-XMP-dc:Rights=Copyright 2023", "-XMP-xmp:Rating=4"]
XMP_PLACE = ["-XMP-exif:GPSLatitude=52.5", "-XMP-exif:GPSLongitude=13.4", f"-XMP-exif:GPSAreaInformation={PLACE}"]
# What raw converters write beside Exif: the same orientation and size once more.
XMP_TURNED = ["-XMP-tiff:Orientation#=6", "-XMP-tiff:ImageWidth=96", "-XMP-exif:ExifImageWidth=96"]
# What turns an upright picture into one that is stored so.
STORED = {number: Image.Transpose(turn) for number, turn in ((2, 0), (3, 3), (4, 1), (5, 5), (6, 2), (7, 6), (8, 4))}
CHANNELS = {"grey": "grey", "rgb": "RGB"}
FILL = "an extended description of what is seen. "


def make(folder):
    """All of them, finished."""
    cases = [*jpegs(folder), *pngs(folder), *webps(folder), *tiffs(folder), *others(folder), *refused(folder)]
    words = []
    for case in cases:
        if case.told:
            words += [*case.told, "-q", "-q", "-m", "-overwrite_original", str(case.path), "-execute"]
    names = folder.parent / "told.args"
    names.write_text("\n".join(words), encoding="utf-8")
    told = subprocess.run(["exiftool", "-@", names], capture_output=True, text=True, check=False)
    if told.returncode or told.stderr:
        raise SystemExit(f"formats: exiftool could not write the pictures: {told.stderr}")
    return cases


def saved(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def rgb():
    return Image.fromarray(eight(pictures.colours()))


def rgba():
    return Image.fromarray(eight(pictures.with_alpha(pictures.colours(), pictures.softness())))


def grey():
    return Image.fromarray(eight(pictures.lightness()))


def black_and_white():
    return grey().convert("1", dither=Image.Dither.NONE)


def cmyk():
    """Inks that use black where all three would overlap."""
    light = pictures.colours()
    black = 1 - light.max(axis=2, keepdims=True)
    inks = (1 - light - black) / (1 - black)
    return Image.fromarray(eight(numpy.concatenate([inks, black * 0.8], axis=2)), "CMYK")


def thumbnail():
    return saved(rgb().resize((48, 32)), "JPEG")


def writer(folder, kind, found):
    """put(name, row, bytes, …) writes a picture and notes it."""
    def put(name, row, data, **more):
        path = folder / name
        path.write_bytes(data)
        found.append(Case(path, f"{kind}{', ' * bool(row)}{row}", kind, **more))
    return put


def jpegs(folder):
    found = []
    put, colour = writer(folder, "JPEG", found), rgb()
    row = "baseline and progressive"

    def save(image, **options):
        return saved(image, "JPEG", quality=95, **options)

    put("jpeg-plain.jpg", row, save(colour))
    put("jpeg-progressive.jpg", row, save(colour, progressive=True, subsampling=0))
    put("jpeg-rgb.jpg", row, save(colour, keep_rgb=True))
    put("jpeg-density.jpg", row, save(colour, dpi=(240, 240)))
    put("jpeg-comment.jpg", row, save(colour, comment=f"{AUTHOR} says"))
    for number in range(1, 9):
        stored = colour if number == 1 else colour.transpose(STORED[number])
        small = stored.resize((stored.width // 2, stored.height // 2))
        tags = exif(number, stored.size, "<>"[number % 2], saved(small, "JPEG"), place=number > 2)
        put(f"jpeg-orientation-{number}.jpg", "Exif orientation 1 to 8", save(stored, exif=b"Exif\0\0" + tags))
    turned = rgb().transpose(STORED[6])
    tags = b"Exif\0\0" + exif(6, turned.size, ">", thumbnail())
    put("jpeg-all.jpg", row, save(turned, exif=tags, icc_profile=profiles.display_p3()), told=IPTC + XMP)
    says = "XMP that says size, orientation"
    put("jpeg-xmp-turned.jpg", row, save(turned, exif=tags), told=XMP + XMP_TURNED, only=says)
    put("jpeg-xmp-place.jpg", row, save(colour), told=XMP + XMP_PLACE, only="XMP that names the place")
    put("jpeg-xmp-long.jpg", row, save(colour), told=[f"-XMP-dc:Description={FILL * 2000}"], only="extended XMP")
    for name, profile in (("p3", profiles.display_p3()), ("adobe", profiles.adobe_rgb())):
        put(f"jpeg-{name}.jpg", row, save(colour, icc_profile=profile))
    large = profiles.display_p3(150_000)
    put("jpeg-large-profile.jpg", row, save(colour, icc_profile=large), only="ICC of 150 KB")
    put("jpeg-grey.jpg", "grey", save(grey()))
    put("jpeg-grey-profile.jpg", "grey", save(grey(), icc_profile=profiles.grey()))
    for name, profile in (("with", profiles.inks()), ("without", None)):
        more = {"icc_profile": profile} if profile else {}
        row = f"CMYK and YCCK {name} a profile"
        only = {"only": "ICC of CMYK" if profile else None}
        put(f"jpeg-cmyk-{name}.jpg", row, save(cmyk(), **more), **only)
        put(f"jpeg-ycck-{name}.jpg", row, ycck(more), **only)
    return found


def ycck(options):
    """Cyan, magenta and yellow as luma and chroma: other samples, and one byte of Adobe's segment."""
    samples = numpy.asarray(cmyk())
    # Both what the file holds and what a reader makes of the first three is inverted; Pillow inverts what it writes.
    luma = 255 - numpy.asarray(Image.fromarray(samples[:, :, :3]).convert("YCbCr"))
    swapped = numpy.concatenate([luma, samples[:, :, 3:]], axis=2)
    data = bytearray(saved(Image.fromarray(swapped, "CMYK"), "JPEG", quality=95, subsampling=0, **options))
    data[data.index(b"Adobe") + 11] = 2
    return bytes(data)


def pngs(folder):
    found = []
    put, light, colour = writer(folder, "PNG", found), pictures.lightness(), pictures.colours()
    for bits in (1, 2, 4):
        samples = numpy.rint(light * (2**bits - 1)).astype(numpy.uint8)
        put(f"png-grey-{bits}.png", "grey of 1, 2, 4 bits", pictures.png(samples, pictures.GREY, bits))
    put("png-grey-8.png", "grey of 8 bits", pictures.png(eight(light), pictures.GREY, 8))
    put("png-grey-profile.png", "grey of 8 bits", saved(grey(), "PNG", icc_profile=profiles.grey()))
    put("png-grey-16.png", "grey of 16 bits", pictures.png(sixteen(light), pictures.GREY, 16), shown=sixteen(light))
    soft = pictures.with_alpha(light, pictures.softness())
    for bits, samples in ((8, eight(soft)), (16, sixteen(soft))):
        data = pictures.png(samples, pictures.GREY_ALPHA, bits)
        put(f"png-grey-alpha-{bits}.png", f"grey of {bits} bits with alpha", data, shown=samples)
    few = rgb().quantize(32)
    put("png-palette.png", "palette", saved(few, "PNG"))
    put("png-palette-clear.png", "palette with tRNS", saved(few, "PNG", transparency=few.getpixel((16, 48))))
    put("png-rgb.png", "RGB of 8 bits", pictures.png(eight(colour), pictures.RGB, 8))
    put("png-adam7.png", "RGB of 8 bits", saved(rgb(), "PNG", dpi=(240, 240)))
    put("png-p3.png", "RGB of 8 bits", saved(rgb(), "PNG", icc_profile=profiles.display_p3()))
    gamma = [(b"gAMA", (65000).to_bytes(4, "big")), (b"cHRM", numpy.array(
        [31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000], ">u4").tobytes())]
    put("png-gamma.png", "RGB of 8 bits", pictures.png(eight(colour), pictures.RGB, 8, gamma))
    p3 = [(b"cICP", bytes([12, 13, 0, 1]))]
    put("png-cicp.png", "RGB of 8 bits", pictures.png(eight(colour), pictures.RGB, 8, p3))
    key = b"".join(int(value).to_bytes(2, "big") for value in eight(colour)[48, 16])
    data = pictures.png(eight(colour), pictures.RGB, 8, [(b"tRNS", key)])
    put("png-rgb-key.png", "RGB of 8 bits with tRNS", data)
    put("png-rgb-16.png", "RGB of 16 bits", pictures.png(sixteen(colour), pictures.RGB, 16), shown=sixteen(colour))
    for name, bare in (("bare", True), ("full", False)):
        samples = pictures.with_alpha(colour, pictures.softness(), bare)
        put(f"png-rgba-{name}.png", "RGB of 8 bits with alpha", pictures.png(eight(samples), pictures.RGBA, 8))
    deep = sixteen(samples)
    put("png-rgba-16.png", "RGB of 16 bits with alpha", pictures.png(deep, pictures.RGBA, 16), shown=deep)
    turned = rgb().transpose(STORED[5])
    tags = exif(5, turned.size, ">", thumbnail())
    put("png-all.png", "RGB of 8 bits", saved(turned, "PNG", exif=tags), told=XMP)
    texts = [(b"tEXt", b"Author\0" + AUTHOR.encode()), (b"zTXt", b"Comment\0\0" + zlib.compress(b"long " * 99)),
             (b"iTXt", b"Description\0\0\0de\0\0" + "Grün".encode())]
    put("png-texts.png", "RGB of 8 bits", pictures.png(eight(colour), pictures.RGB, 8, texts))
    moving = saved(rgb(), "PNG", save_all=True, append_images=[ImageOps.invert(rgb())])
    put("png-moving.png", "moving", moving)
    return found


def webps(folder):
    found = []
    put, turned = writer(folder, "WebP", found), rgb().transpose(STORED[7])
    put("webp-lossy.webp", "lossy and lossless", saved(rgb(), "WEBP", quality=95))
    put("webp-lossless.webp", "lossy and lossless", saved(rgb(), "WEBP", lossless=True))
    put("webp-alpha-lossy.webp", "with alpha", saved(rgba(), "WEBP", quality=95))
    put("webp-alpha.webp", "with alpha", saved(rgba(), "WEBP", lossless=True, exact=True))
    everything = {"icc_profile": profiles.display_p3(), "exif": exif(7, turned.size, "<", thumbnail())}
    put("webp-all.webp", "lossy and lossless", saved(turned, "WEBP", quality=95, **everything), told=XMP)
    moving = saved(rgb(), "WEBP", save_all=True, append_images=[ImageOps.invert(rgb())], lossless=True)
    put("webp-moving.webp", "moving", moving)
    return found


def tiff(samples, **options):
    file = io.BytesIO()
    options = {"photometric": "rgb" if samples.ndim == 3 and samples.shape[2] > 2 else "minisblack", **options}
    tifffile.imwrite(file, samples, metadata=None, software=False, **options)
    return file.getvalue()


def tiffs(folder):
    found = []
    put, light, colour = writer(folder, "TIFF", found), pictures.lightness(), pictures.colours()
    row = "RGB of 8 bits: uncompressed, LZW, Deflate, PackBits"
    for packing in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        put(f"tiff-{packing}.tif", row, saved(rgb(), "TIFF", compression=packing))
    put("tiff-jpeg.tif", "JPEG within", saved(rgb(), "TIFF", compression="jpeg", quality=95))
    row = "big-endian, tiles, planes"
    put("tiff-big-endian.tif", row, tiff(eight(colour), byteorder=">"))
    put("tiff-bigtiff.tif", "BigTIFF", tiff(eight(colour), bigtiff=True))
    put("tiff-tiles.tif", row, tiff(eight(colour), tile=(32, 32), compression="zlib"))
    planes = numpy.ascontiguousarray(eight(colour).transpose(2, 0, 1))
    put("tiff-planes.tif", row, tiff(planes, photometric="rgb", planarconfig="separate"))
    put("tiff-pages.tif", "of several pages", saved(rgb(), "TIFF", save_all=True, append_images=[grey()]))
    for name, samples in (("grey", light), ("rgb", colour)):
        deep = sixteen(samples)
        for order, letter in ((">", "be"), ("<", "le")):
            data = tiff(deep, byteorder=order, compression="zlib", predictor=order == "<")
            put(f"tiff-{name}-16-{letter}.tif", f"{CHANNELS[name]} of 16 bits", data, shown=deep)
    put("tiff-grey.tif", "grey of 8 bits", tiff(eight(light)))
    put("tiff-white.tif", "grey, white is 0", tiff(255 - eight(light), photometric="miniswhite"))
    put("tiff-fax.tif", "black and white", saved(black_and_white(), "TIFF", compression="group4"))
    put("tiff-palette.tif", "palette", saved(rgb().quantize(32), "TIFF"))
    soft = pictures.softness()
    for name, samples in (("grey", light), ("rgb", colour)):
        for bits, of in ((8, eight), (16, sixteen)):
            deep = of(pictures.with_alpha(samples, soft))
            data = tiff(deep, extrasamples=["unassalpha"])
            put(f"tiff-{name}-alpha-{bits}.tif", f"{CHANNELS[name]} of {bits} bits with alpha", data, shown=deep)
    multiplied = eight(numpy.concatenate([colour * soft[:, :, None], soft[:, :, None]], axis=2))
    put("tiff-premultiplied.tif", "RGB with alpha multiplied in", tiff(multiplied, extrasamples=["assocalpha"]))
    put("tiff-cmyk.tif", "CMYK without a profile", saved(cmyk(), "TIFF"))
    put("tiff-cmyk-with.tif", "CMYK with a profile", saved(cmyk(), "TIFF", icc_profile=profiles.inks()),
        only="ICC of CMYK")
    turned = rgb().transpose(STORED[6])
    source = folder / "jpeg-all.jpg"
    copied = ["-TagsFromFile", str(source), "-exif:all", "-gps:all", "-makernotes", "-iptc:all", "-xmp:all"]
    data = saved(turned, "TIFF", icc_profile=profiles.display_p3())
    row = "RGB of 8 bits: uncompressed, LZW, Deflate, PackBits"
    put("tiff-all.tif", row, data, told=[*copied, "-Orientation#=6", "-ThumbnailImage="])
    put("tiff-density.tif", row, saved(rgb(), "TIFF", dpi=(240, 240)))
    put("tiff-float.tif", "of 32 bits and fractions", tiff(colour.astype(numpy.float32)), shown=sixteen(colour))
    return found


def others(folder):
    found, light, colour = [], pictures.lightness(), pictures.colours()
    put, few = writer(folder, "GIF", found), rgb().quantize(32)
    put("gif.gif", "the first picture", saved(few, "GIF"))
    put("gif-moving.gif", "the first picture", saved(few, "GIF", save_all=True, append_images=[grey(), few]))
    put("gif-clear.gif", "with transparency", saved(few, "GIF", transparency=few.getpixel((16, 48))))
    put("gif-xmp.gif", "the first picture", saved(few, "GIF"), told=XMP)
    put = writer(folder, "BMP", found)
    put("bmp-rgb.bmp", "", saved(rgb(), "BMP", dpi=(240, 240)))
    put("bmp-palette.bmp", "", saved(few, "BMP"))
    put("bmp-grey.bmp", "grey", saved(grey(), "BMP"))
    put("bmp-alpha.bmp", "with alpha", bmp(eight(pictures.with_alpha(colour, pictures.softness()))))
    put = writer(folder, "PNM", found)
    put("pnm-bits.pbm", "PBM", saved(black_and_white(), "PPM"))
    put("pnm-grey.pgm", "PGM of 8 bits", pictures.pnm(eight(light), "P5"))
    put("pnm-grey-16.pgm", "PGM of 16 bits", pictures.pnm(sixteen(light), "P5"), shown=sixteen(light))
    put("pnm-rgb.ppm", "PPM of 8 bits", pictures.pnm(eight(colour), "P6"))
    put("pnm-rgb-16.ppm", "PPM of 16 bits", pictures.pnm(sixteen(colour), "P6"), shown=sixteen(colour))
    samples = eight(pictures.with_alpha(colour, pictures.softness()))
    put("pnm-rgba.pam", "PAM with alpha", pictures.pam(samples, "RGB_ALPHA"), shown=samples)
    put = writer(folder, "QOI", found)
    put("qoi-rgb.qoi", "", saved(rgb(), "QOI"))
    put("qoi-rgba.qoi", "with alpha", saved(rgba(), "QOI"))
    return found


def refused(folder):
    """AVIF is a whole one. Nobody at hand writes the others: these are their first bytes."""
    found = []
    writer(folder, "AVIF", found)("avif.avif", "", saved(rgb(), "AVIF"))
    head = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    writer(folder, "HEIC", found)("heic.heic", "", head, shown=eight(pictures.colours()))
    writer(folder, "JPEG XL", found)("jxl.jxl", "", b"\xff\x0a" + bytes(40), shown=eight(pictures.colours()))
    return found
