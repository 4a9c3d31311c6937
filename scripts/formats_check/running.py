"""onestep over all pictures, once for each thing that may be asked of it."""
import json
import os
import subprocess

# What a column is called: what is asked for.
ASKED = {
    "PNG": ["--format", "png"],
    "JPEG": ["--format", "jpeg"],
    "WebP": ["--format", "webp"],
    "TIFF": ["--format", "tiff"],
    "`same`": ["--format", "same"],
    "`no-gps`": ["--format", "same", "--metadata", "no-gps"],
    "`copyright`": ["--format", "same", "--metadata", "copyright"],
    "`strip`": ["--format", "same", "--metadata", "strip"],
}
FORMATS = ("PNG", "JPEG", "WebP", "TIFF", "`same`")
SECONDS = 120


def asked(program):
    """The columns, of which older programs lack one."""
    told = subprocess.run([program, "once", "--help"], capture_output=True, text=True, check=False).stdout
    return [name for name in ASKED if name != "`copyright`" or "copyright" in told]


def run(program, pictures, work, name):
    """Results by the name of their picture without its ending: a path; and of those that failed a reason."""
    out = work / name.strip("`")
    words = [program, "once", *pictures, "-o", out, "--model", "sr-x2", "--strength", "0", "--device", "cpu"]
    words += ["--precision", "f32", "--state", work / "state" / out.name, *ASKED[name]]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
    (work / f"{out.name}.log").write_text(ended.stderr, encoding="utf-8")
    if ended.returncode not in (0, 1):
        raise SystemExit(f"formats: onestep {name} ended with {ended.returncode}: {ended.stderr[-2000:]}")
    results = {path.stem: path for path in out.iterdir() if path.is_file() and path.suffix != ".jsonl"}
    reasons = {}
    for path in (out / "failed").rglob("*.reason.json"):
        name = os.path.splitext(path.name.removesuffix(".reason.json"))[0]
        reasons[name] = json.loads(path.read_text(encoding="utf-8"))
    return results, reasons
