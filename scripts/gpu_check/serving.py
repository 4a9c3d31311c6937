"""Sections about the daemon: doctor, the same pictures on both devices, tiles a second."""
import collections
import json
import re
import shutil

from . import pictures
from .around import Failure
from .watching import shown

SAMPLE_SIDE = 256  # samples/README.md
GOLDEN = re.compile(r"golden tile differs by ([0-9.e+-]+)")
# Model, strength (None: the model's own), precision on the device; the processor always computes in f32.
PARITY = [
    ("sr-x4", "0", "f32"),
    ("sr-x4", None, "f32"),
    ("inpaint-mean", None, "f32"),
    ("sr-x2", None, "f32"),
    ("sr-x4", "1", "f32"),
    ("sr-x2", "0", "f32"),
    ("sr-x4", "0", "f16"),
    ("sr-x4", None, "f16"),
    ("sr-x2", None, "f16"),
    ("inpaint-mean", None, "f16"),
    ("sr-x4", None, "int8"),
]
# Batch and window side, most telling first: what does not fit the time is left out.
CELLS = [(1, 384), (8, 384), (1, 256), (8, 256), (16, 256), (32, 128), (1, 128), (16, 384), (1, 512), (8, 512)]
FURTHER = [("sr-x4", "0.5", "f32"), ("sr-x4", "0", "f16"), ("sr-x4", "0.5", "f16"), ("sr-x2", "0", "f32")]


def doctor(around):
    ran = around.onestep("doctor", "--device", around.device, "--json")
    try:
        checks = json.loads(ran.out)["checks"]
    except (ValueError, KeyError, TypeError):
        raise Failure(f"doctor ended with {ran.code}: {ran.last_words()}") from None
    around.report.say("", f"Exit code {ran.code}.")
    around.report.head(["area", "check", "state", "said", "remedy"])
    for check in checks:
        around.report.row(*(check.get(key) or "–" for key in ("area", "name", "state", "said", "remedy")))
    if ran.code == 78:
        raise Failure(f"{around.device} is not usable")


def parity(around):
    """The same pictures through both devices, and what each makes of the golden tiles."""
    report = around.report
    report.say("", "Differences of the results in 8-bit levels, the processor in f32 as the reference; seed 1.")
    columns = ["golden tile, device", "golden tile, cpu", "most", "mean", "samples apart", "s"]
    report.head(["model", "strength", "precision", *columns])
    inputs = {"inpaint-mean": samples(around, True)}
    plain = samples(around, False)
    references, failed = {}, 0
    for model, strength, precision in PARITY[:3] + PARITY[6:7] if around.quick else PARITY:
        if around.left() < 5:
            report.row(model, strength or "own", precision, "no time left", "", "", "", "", "")
            continue
        given = inputs.get(model, plain)
        try:
            if (model, strength) not in references:
                references[model, strength] = enlarge(around, "cpu", given, model, strength, "f32")
            failed += not compare(around, references[model, strength], given, (model, strength, precision))
        except Failure as failure:
            failed += precision == "f32"
            report.row(model, strength or "own", precision, failure, "", "", "", "", "")
    many_tiles(around)
    if failed:
        raise Failure(f"{failed} of the comparisons in f32 could not be made or differ")


def compare(around, reference, given, case):
    """One row; whether the device does the same as the processor."""
    folder, golden_cpu, _ = reference
    model, strength, precision = case
    made, golden, seconds = enlarge(around, around.device, given, model, strength, precision)
    apart = apart_by(folder, made)
    total = sum(apart.values())
    most = max(apart)
    middle = sum(level * count for level, count in apart.items()) / total
    share = 100 * (1 - apart[0] / total)
    cells = [golden, golden_cpu, most, f"{middle:.5f}", f"{share:.3f} %", f"{seconds:.1f}"]
    around.report.row(model, strength or "own", precision, *cells)
    return precision != "f32" or most <= 2


def many_tiles(around):
    """A picture of several windows: an enlarged sample once more."""
    report = around.report
    if around.left() < 8:
        report.say("", "A picture of several windows: no time left.")
        return
    given = around.folder("large")
    first = enlarge(around, "cpu", [next(iter(samples(around, False)))], "sr-x4", "0", "f32")[0]
    for path in first.glob("*.tif*"):
        shutil.copy(path, given / path.name)
    made = [enlarge(around, device, [given], "sr-x2", None, "f32")[0] for device in ("cpu", around.device)]
    apart = apart_by(*made)
    total = sum(apart.values())
    share = 1 - apart[0] / total
    report.say("", f"1024×1024 pixels through sr-x2, several windows: most {max(apart)}, samples apart {share:.3%}.")


def samples(around, masks):
    """The sample pictures; with masks, copies that have one beside each."""
    found = sorted(around.find("samples").glob("*.jpg"))[: 2 if around.quick else None]
    if not masks:
        return found
    folder = around.folder("masked")
    for path in found:
        shutil.copy(path, folder / path.name)
        pictures.write_mask(folder / f"{path.stem}.mask.png", SAMPLE_SIDE)
    return [folder]


def enlarge(around, device, given, model, strength, precision):
    """(folder of results, golden error as it was logged, seconds)."""
    name = f"{model}-{strength}-{precision}-{device}".replace(":", "-")
    out, state = around.folder(f"out-{name}"), around.folder("state")
    words = ["once", *given, "-o", out, "--device", device, "--model", model, "--precision", precision]
    words += ["--seed", "1", "--format", "tiff", "--state", state]
    words += ["--strength", strength] if strength else []
    words += ["--task", "inpaint"] if model.startswith("inpaint") else []
    ran = around.onestep(*words)
    if ran.code != 0:
        raise Failure(f"exit code {ran.code}: {ran.last_words()}")
    golden = [float(number) for number in GOLDEN.findall(ran.err + ran.out)]
    return out, f"{max(golden):.1e}" if golden else "–", ran.seconds


def apart_by(reference, made):
    """Differences over all results of two folders."""
    apart = collections.Counter()
    for path in sorted(reference.glob("*.tif*")):
        apart += pictures.differences(pictures.read_tiff(path), pictures.read_tiff(made / path.name))
    if not apart:
        raise Failure(f"there are no results in {reference.name}")
    return apart


def throughput(around):
    """`onestep bench` by batch and window, beside its bare loop."""
    report = around.report
    pictures_and_side = (2, 256) if around.quick else (24, 512)
    cells = CELLS[:1] + [(2, 128)] if around.quick else CELLS
    what = "{} pictures of {}² pixels".format(*pictures_and_side)
    report.say("", f"{what}; bare is the same network in a loop without the daemon.")
    columns = ["tiles/s", "bare", "ratio", "pictures/s", "J/picture"]
    report.head(["model", "strength", "precision", "batch", "window", *columns])
    done = {}
    for batch, window in cells:
        bench(around, ("sr-x4", "0", "f32"), batch, window, pictures_and_side, done)
    best = max(done, key=lambda cell: done[cell][2] * cell[1] ** 2, default=None)
    if best:
        for case in FURTHER[:1] if around.quick else FURTHER:
            bench(around, case, *best, pictures_and_side, {})
        stages = done[best][0].get("stages") or {}
        told = ", ".join(f"{name} {share}" for name, share in stages.items())
        report.say("", f"Most pixels a second: batch {best[0]}, window {best[1]}. Shares of its stages: {told or '–'}.")
    else:
        raise Failure("no cell could be measured")


def bench(around, case, batch, window, pictures_and_side, done):
    """One row of the table."""
    model, strength, precision = case
    if around.left() < 4:
        around.report.row(*case, batch, window, "no time left", "", "", "", "")
        return
    words = ["--device", around.device, "--model", model, "--strength", strength, "--precision", precision]
    words += ["--batch", batch, "--window", window]
    words += ["--pictures", pictures_and_side[0], "--side", pictures_and_side[1]]
    try:
        ran = around.onestep("bench", *words, "--json", limit=40)
        said = json.loads(ran.out) if ran.code == 0 else None
    except (Failure, ValueError) as failure:
        around.report.row(*case, batch, window, failure, "", "", "", "")
        return
    if said is None:
        around.report.row(*case, batch, window, f"exit code {ran.code}: {ran.last_words()}", "", "", "", "")
        return
    names = ("tiles_per_s", "bare_tiles_per_s", "overhead_ratio", "pictures_per_s", "joules_per_picture")
    tiles, bare, ratio, whole, joules = (said.get(name) for name in names)
    done[batch, window] = (said, tiles, bare or tiles or 0.0)
    cells = [shown(tiles), shown(bare), shown(ratio, 3), shown(whole, 2), shown(joules, 3)]
    around.report.row(*case, batch, window, *cells)
