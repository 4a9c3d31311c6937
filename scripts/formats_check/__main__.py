"""The proof: makes pictures, has onestep enlarge them, asks other programs, compares with docs/formats.md."""
import argparse
import os
import pathlib
import shutil
import sys
import tempfile
import time

from . import cases, judging, known, reading, running, tables

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = pathlib.Path("docs/formats.md")


def main():
    parser = argparse.ArgumentParser(prog="scripts/formats", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the tables of docs/formats.md")
    parser.add_argument("--keep", type=pathlib.Path, help="leave pictures and results in this folder")
    words = parser.parse_args()
    program = pathlib.Path(os.environ["ONESTEP"]).resolve()
    if not program.is_file():
        raise SystemExit(f"formats: {program} is not there (cargo build --release, or ONESTEP=…)")
    if words.keep:
        shutil.rmtree(words.keep / "work", ignore_errors=True)
    folder = words.keep.resolve() / "work" if words.keep else pathlib.Path(tempfile.mkdtemp(prefix="onestep-formats-"))
    os.chdir(ROOT)
    try:
        return prove(program, folder, words.write)
    finally:
        if not words.keep:
            shutil.rmtree(folder)


def prove(program, folder, write):
    started = time.monotonic()
    given = folder / "given"
    given.mkdir(parents=True)
    made = cases.make(given)
    originals = seen(reading.tags([given]), {case.path.stem: case.path for case in made})
    speaking = [case.path for case in made if any(says(originals[case.path.stem]))]
    results, reasons = {}, {}
    for column in running.asked(program):
        pictures = [given] if column in running.FORMATS else speaking
        results[column], reasons[column] = running.run(program, pictures, folder, column)
    told = reading.tags([folder])
    results = {column: seen(told, paths) for column, paths in results.items()}
    wrong, open_ones = promises(made, originals, results, reasons)
    words = tables.text(len(made), *tables.observed(made, originals, results, reasons), open_ones)
    untrue = tables.compare(DOCUMENT, words, write)
    for line in untrue + wrong:
        print(line)
    if untrue:
        print(f"formats: {DOCUMENT} does not say what was observed (scripts/formats --write)")
    state = f"{len(wrong)} broken promises" if wrong else "every promise held"
    print(f"formats: {len(made)} pictures, {sum(map(len, results.values()))} results, {state}, "
          f"{len(open_ones)} known to be wrong ({time.monotonic() - started:.0f} s)")
    return 1 if untrue or wrong else 0


def seen(told, paths):
    return {name: judging.Seen(path, *told.get(str(path), ({}, set()))) for name, path in paths.items()}


def says(original):
    return (read(original) for read in judging.PIECES.values())


def promises(made, originals, results, reasons):
    """Sentences about those that were broken, and which of the known ones still are."""
    wrong, still = [], set()
    for column, found in results.items():
        for case in made:
            name = case.path.stem
            if name in found:
                sentences = judging.broken(case, originals[name], found[name], column)
            elif name in reasons[column]:
                sentences = of_reason(reasons[column][name])
            else:
                sentences = [] if column not in running.FORMATS else ["neither a result nor a reason"]
            for sentence in sentences:
                matching = {one for one in known.KNOWN if one.is_of(case.path.name, column, sentence)}
                still |= matching
                if not matching:
                    wrong.append(f"{case.path.name} → {column.strip('`')}: {sentence}")
    struck = [f"no longer so, strike it from known.py: {one.why}" for one in known.KNOWN if one not in still]
    return wrong + struck, [one for one in known.KNOWN if one in still]


def of_reason(reason):
    """What is refused is refused for what it is."""
    if reason["class"] != "unsupported":
        yield f"failed, class {reason['class']}: {reason['message']}"


if __name__ == "__main__":
    sys.exit(main())
