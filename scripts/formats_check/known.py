"""What is wrong and known to be. Each is looked for; one that is no longer so fails the proof until it is struck
off."""
import dataclasses
import fnmatch


@dataclasses.dataclass(frozen=True)
class Known:
    """Broken promises of pictures whose names match, in columns that match, whose sentence matches."""

    pictures: str
    columns: str
    sentence: str
    why: str

    def is_of(self, picture, column, sentence):
        pairs = ((picture, self.pictures), (column, self.columns), (sentence, self.sentence))
        return all(fnmatch.fnmatchcase(word, pattern) for word, pattern in pairs)


KNOWN = [
    Known(
        "jpeg-xmp-turned.jpg", "*", "XMP-* says *",
        "XMP that names the orientation and size of its picture (`tiff:Orientation`) is not corrected."),
    Known(
        "jpeg-xmp-turned.jpg", "TIFF", "128×192 pixels of *",
        "A TIFF of such a picture has no Exif, and readers that look into XMP then turn it once more."),
    Known(
        "tiff-premultiplied.tif", "*", "*",
        "TIFF whose colours are multiplied with alpha is taken for one where they are not."),
    Known(
        "tiff-all.tif", "*", "colours *",
        "The profile and XMP of a TIFF are lost where they have more bytes than a thirty-second of the pixels'."),
    Known(
        "jpeg-xmp-long.jpg", "*", "XMP names an extension *",
        "XMP of a JPEG goes on naming its extension (`xmpNote:HasExtendedXMP`), which is left out."),
    Known("tiff-bigtiff.tif", "*", "failed, class not-a-picture*", "BigTIFF is taken for no picture at all."),
    Known("*-grey-profile.*", "WebP", "its profile *", "A grey profile is carried into WebP, whose pixels are RGB."),
    Known("*", "*", "exiftool: [[]minor] Odd offset for IFD0 *", "Values of a TIFF may begin at odd places."),
    Known(
        "*", "*", "exiftool: Non-standard format (int8u) for IFD0 0x8773 *",
        "The profile of a TIFF is of type BYTE, and should be UNDEFINED."),
]
