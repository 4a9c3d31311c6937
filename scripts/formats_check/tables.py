"""Tables in Markdown of what was observed, and their place in docs/formats.md."""
import difflib

from . import judging
from .running import FORMATS

BEGIN, END = "<!-- formats: begin -->", "<!-- formats: end -->"
INTRODUCTION = """\
`scripts/formats` makes these tables: {count} pictures through `onestep once`, read with exiftool, Pillow (LittleCMS),
pypng and tifffile.

**Pixels**: what they are in a result of each format, bits a sample; `same` says the format."""
METADATA = """\
**What a picture says of itself**: carried (✓), lost (–), or in part. The last columns are `--metadata` with
`--format same`."""
KNOWN = "**Known to be wrong**, and looked for: whatever else is wrong fails `scripts/formats`."


class Table:
    """Cells by row and column; what is put into a cell more than once is told once."""

    def __init__(self, corner, columns):
        self.corner, self.columns, self.rows = corner, columns, {}

    def put(self, row, column, word):
        words = self.rows.setdefault(row, {}).setdefault(column, [])
        if word not in words:
            words.append(word)

    def lines(self):
        yield f"| {self.corner} | {' | '.join(self.columns)} |"
        yield "|---" * (1 + len(self.columns)) + "|"
        for row, cells in self.rows.items():
            yield f"| {row} | {' | '.join(' or '.join(cells.get(column, [])) for column in self.columns)} |"


def observed(cases, originals, results, reasons):
    """Both tables, of results and reasons by column and name."""
    pixels = Table("in", list(FORMATS))
    metadata = Table("in", [column for column in results if column != FORMATS[-1]])
    for column, made in results.items():
        for case in cases:
            name = case.path.stem
            if name in made and column in FORMATS:
                is_same = column == FORMATS[-1]
                word = format_of(made[name]) if is_same else judging.shape(case, made[name])
                pixels.put(case.row, column, word)
            elif name in reasons[column] and column in FORMATS:
                pixels.put(case.row, column, f"refused, `{reasons[column][name]['class']}`")
            if name in made and column != FORMATS[-1]:
                note(metadata, case, column, originals[name], made[name])
    ordered = sorted(metadata.rows.items(), key=lambda row: place(cases, row))
    metadata.rows = {row: merged(cells) for row, cells in ordered}
    return pixels, metadata


def note(table, case, column, original, result):
    """Each thing that the picture says of itself; of one that was made for one thing, that thing."""
    for piece in judging.PIECES:
        word = judging.carried(piece, original, result)
        if word and (case.only is None or case.only.startswith(piece) or case.only.endswith(piece)):
            table.put(f"{case.kind}: {case.only or piece}", column, word)


def merged(cells):
    """Carried of some pictures and not of others is carried in part."""
    return {column: words if len(words) == 1 else [judging.PARTLY] for column, words in cells.items()}


def place(cases, row):
    kinds = list(dict.fromkeys(case.kind for case in cases))
    pieces = list(judging.PIECES)
    kind, _, piece = row[0].partition(": ")
    first = next((name for name in pieces if name in piece), piece)
    return kinds.index(kind), pieces.index(first), piece != first


def format_of(result):
    return {".png": "PNG", ".jpg": "JPEG", ".webp": "WebP", ".tif": "TIFF"}[result.path.suffix]


def text(count, pixels, metadata, known):
    lines = [INTRODUCTION.format(count=count), "", *pixels.lines(), "", METADATA, "", *metadata.lines()]
    if known:
        lines += ["", KNOWN, "", *(f"- {one.why}" for one in known)]
    return "\n".join(lines)


def compare(document, words, write):
    """Writes the tables into the document, or tells how they differ from those there."""
    whole = document.read_text(encoding="utf-8")
    before, found, rest = whole.partition(BEGIN)
    old, also, after = rest.partition(END)
    if not found or not also:
        raise SystemExit(f"formats: {document} lacks the lines {BEGIN} and {END}")
    new = f"\n{words}\n"
    if write:
        document.write_text(before + BEGIN + new + END + after, encoding="utf-8")
        return []
    return list(difflib.unified_diff(old.splitlines(), new.splitlines(), str(document), "observed", lineterm=""))
