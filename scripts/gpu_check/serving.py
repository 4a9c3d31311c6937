"""Sections about the daemon: doctor, the same pictures on both devices, tiles a second."""
import collections
import json
import re
import shutil
import time

from . import pictures
from .around import Failure
from .watching import shown

SAMPLE_SIDE = 256  # samples/README.md
GOLDEN = re.compile(r"golden tile differs by ([0-9.e+-]+)")
# Pictures, model, strength (None: the model's own), precision on the device; the processor always computes in f32.
# Large is one picture of several windows.
PARITY = [
    ("samples", "sr-x4", "0", "f32"),
    ("samples", "sr-x4", None, "f32"),
    ("holes", "inpaint-mean", None, "f32"),
    ("samples", "sr-x2", None, "f32"),
    ("large", "sr-x2", "0", "f32"),
    ("large", "sr-x2", "0.5", "f32"),
    ("samples", "sr-x4", "1", "f32"),
    ("samples", "sr-x4", "0", "f16"),
    ("samples", "sr-x4", None, "f16"),
    ("samples", "sr-x2", None, "f16"),
    ("holes", "inpaint-mean", None, "f16"),
    ("samples", "sr-x4", None, "int8"),
    ("holes", "inpaint", None, "f32"),
]
QUICK_PARITY = (0, 1, 2, 4, 7)
# Batch and window side, most telling first: what does not fit the time is left out.
CELLS = [(1, 384), (8, 384), (1, 256), (8, 256), (16, 256), (32, 128), (1, 128), (16, 384), (1, 512), (8, 512)]
FURTHER = [("sr-x4", "0.5", "f32"), ("sr-x4", "0", "f16"), ("sr-x4", "0.5", "f16"), ("sr-x2", "0", "f32")]


def doctor(around):
    # Not in the checkout: the folders of its config.toml are not the matter here.
    words = [around.find("target/release/onestep"), "doctor", "--device", around.device, "--json"]
    ran = around.run(words, cwd=around.folder("doctor"))
    try:
        checks = json.loads(ran.out[ran.out.index("{"):])["checks"]
    except (ValueError, KeyError, TypeError):
        raise Failure(f"doctor ended with {ran.code}: {ran.last_words()}") from None
    around.report.say("", f"Exit code {ran.code}.")
    around.report.head(["area", "check", "state", "said", "remedy"])
    for check in checks:
        around.report.row(*(check.get(key) or "–" for key in ("area", "name", "state", "said", "remedy")))
    bad = [check.get("name") for check in checks if check.get("state") == "bad"]
    if bad or ran.code != 0:
        raise Failure(f"exit code {ran.code}; bad: {', '.join(map(str, bad)) or 'nothing'}")


def parity(around):
    """The same pictures through both devices, and what each makes of the golden tiles."""
    report = around.report
    report.say("", "Differences of the results in 8-bit levels, the processor in f32 as the reference; seed 1.")
    columns = ["golden tile, device", "golden tile, cpu", "most", "mean", "samples apart", "s"]
    report.head(["pictures", "model", "strength", "precision", *columns])
    given, references, failed = {}, {}, []
    for case in [PARITY[at] for at in QUICK_PARITY] if around.quick else PARITY:
        which, model, strength, precision = case
        told = (which, model, strength or "own", precision)
        if around.left() < 5:
            report.row(*told, "no time left", *[""] * 5)
            continue
        try:
            if which not in given:
                given[which] = {"samples": samples, "holes": holes, "large": large}[which](around)
            if case[:3] not in references:
                references[case[:3]] = enlarge(around, "cpu", given[which], case[:3], "f32")
            cells, most = compare(around, references[case[:3]], given[which], case)
        except Failure as failure:
            report.row(*told, brief(failure), *[""] * 5)
            failed += [told] if precision == "f32" else []
            continue
        report.row(*told, *cells)
        failed += [told] if precision == "f32" and most > 2 else []
    if failed:
        raise Failure("in f32 there is no result, or one more than 2 levels apart: " + "; ".join(map(" ".join, failed)))


def compare(around, reference, given, case):
    """What stands in the row, and by how many levels the results differ at most."""
    folder, golden_cpu, _ = reference
    made, golden, seconds = enlarge(around, around.device, given, case[:3], case[3])
    apart = apart_by(folder, made)
    total, most = sum(apart.values()), max(apart)
    middle = sum(level * count for level, count in apart.items()) / total
    share = 100 * (1 - apart[0] / total)
    return [golden, golden_cpu, most, f"{middle:.5f}", f"{share:.3f} %", f"{seconds:.1f}"], most


def brief(failure):
    return str(failure)[:200]


def samples(around):
    """The sample pictures."""
    return sorted(around.find("samples").glob("*.jpg"))[: 2 if around.quick else None]


def holes(around):
    """Copies of them that have a mask beside each."""
    folder = around.folder("holes")
    for path in samples(around):
        shutil.copy(path, folder / path.name)
        pictures.write_mask(folder / f"{path.stem}.mask.png", SAMPLE_SIDE)
    return [folder]


def large(around):
    """A sample enlarged by four."""
    folder = around.folder("large")
    for path in enlarge(around, "cpu", samples(around)[:1], ("one", "sr-x4", "0"), "f32")[0].glob("*.tif*"):
        shutil.copy(path, folder / path.name)
    return [folder]


def enlarge(around, device, given, case, precision):
    """(folder of results, golden error as it was logged, seconds)."""
    which, model, strength = case
    name = f"{which}-{model}-{strength}-{precision}-{device}".replace(":", "-")
    # The rehearsal does the same twice.
    out, state = around.folder(f"{name}-{time.monotonic_ns()}"), around.folder("state")
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
    cells = CELLS[:1] + [(1, 128)] if around.quick else CELLS
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
        said = json.loads(ran.out[ran.out.index("{"):]) if ran.code == 0 else None
    except (Failure, ValueError) as failure:
        around.report.row(*case, batch, window, brief(failure), "", "", "", "")
        return
    if said is None:
        around.report.row(*case, batch, window, brief(f"exit code {ran.code}: {ran.last_words()}"), "", "", "", "")
        return
    if around.is_cuda and not str(said.get("device")).startswith("cuda"):
        around.report.row(*case, batch, window, f"it ran on {said.get('device')}", "", "", "", "")
        return
    names = ("tiles_per_s", "bare_tiles_per_s", "overhead_ratio", "pictures_per_s", "joules_per_picture")
    tiles, bare, ratio, whole, joules = (said.get(name) for name in names)
    done[batch, window] = (said, tiles, bare or tiles or 0.0)
    if (model, strength) == ("sr-x4", "0"):
        around.bare[precision, batch, window] = bare
    cells = [shown(tiles), shown(bare), shown(ratio, 3), shown(whole, 2), shown(joules, 3)]
    around.report.row(*case, batch, window, *cells)
