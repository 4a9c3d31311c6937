"""Sections about long work: PyTorch on the same net, memory over many pictures, training steps, energy."""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

from . import pictures
from .around import Failure, end
from .watching import Watch, joules, mean, shown, slope

PICTURES, SETTLED, SIDES = 2000, 400, (64, 96, 128, 160, 200, 256, 320, 400)
TORCH_CELLS = "8x384,1x384,16x256,1x256,32x128,1x128"
SETTLED_STEPS, LEAST_STEPS, TRAINING_SECONDS = 100, 300, 25
WAITED = re.compile(r"([0-9.]+) % of them waiting for data")


def torch_net(around):
    """The same model file, node by node in PyTorch."""
    report = around.report
    cells = "1x128" if around.quick else TORCH_CELLS
    script = around.find("scripts/gpu_check/onnx_torch.py")
    report.say("", "sr-x4-mean, the file behind strength 0, node by node in eager PyTorch: the same weights, no TF32.")
    columns = ["tiles/s on the device", "tiles/s from and to the host", "bare loop of onestep ÷ that"]
    report.head(["variant", "batch", "window", *columns])
    kind = around.device.partition(":")[0]
    words = [script, around.find("models/sr-x4-mean.onnx"), "--device", kind, "--cells", cells]
    golden, rows = None, 0
    log = around.work / "torch.jsonl"
    with open(log, "w", encoding="utf-8") as out:
        # What was printed before the time ran out counts.
        program = around.start([sys.executable, *words, "--seconds", max(1, around.left() - 12)], stdout=out)
        try:
            _, said = program.communicate(timeout=max(1, around.left()))
        except subprocess.TimeoutExpired:
            said = ""
        finally:
            end(program)
    for line in log.read_text(encoding="utf-8").splitlines():
        told = json.loads(line)
        if "golden" in told:
            golden = told["golden"]
            continue
        bare = around.bare.get((told["variant"][:3], told["batch"], told["window"]))
        rates = [told["tiles_per_s"], told["from_host"], bare and bare / told["from_host"]]
        report.row(told["variant"], told["batch"], told["window"], shown(rates[0]), shown(rates[1]), shown(rates[2], 2))
        rows += 1
    if golden is None:
        raise Failure(f"PyTorch ended with {program.returncode}: {' '.join(said.split()[-30:])}")
    report.say("", f"Its golden tile differs by {golden:.1e}.")
    if not rows:
        raise Failure(f"no time was left for a measurement: {' '.join(said.split()[-30:])}")


def memory(around):
    """Many pictures of many sizes and kinds in one run; whether memory grows."""
    report = around.report
    count = 24 if around.quick else PICTURES
    given, out = mixed(around, count), around.folder("mixed-out")
    watch = Watch(around.gpu_number)
    time.sleep(1.5 if around.is_cuda else 0)
    idle = list(watch.samples)
    words = [around.find("target/release/onestep"), "once", given, "-o", out, "--device", around.device]
    words += ["--format", "jpeg", "--state", around.folder("state")]
    started, log = time.monotonic(), open(around.work / "mixed.log", "w+", encoding="utf-8")
    program = around.start(words, stdout=log, stderr=log)
    told = []  # (results, MiB of the GPU, MB of the process)
    while program.poll() is None and around.left() > 3:
        time.sleep(0.25)
        now = watch.samples[-1][1] if watch.samples else None
        told.append((sum(1 for entry in os.scandir(out) if entry.name.endswith(".jpg")), now, resident_mb(program.pid)))
    seconds, complete = time.monotonic() - started, program.poll() is not None
    end(program)
    samples = watch.stop()
    done = sum(1 for entry in os.scandir(out) if entry.name.endswith(".jpg"))
    around.stretches.append(("pictures", done, idle, samples[len(idle):]))
    report.say("", f"{done} of {count} pictures in {seconds:.1f} s{'' if complete else ', then the time was over'}.")
    settled = SETTLED * count // PICTURES
    early_name = f"mean, results {settled} to {2 * settled}"
    report.head(["memory", early_name, "mean, the last fifth", "most", "growth per 1,000 results"])
    for name, column in (("GPU, MiB", 1), ("process, MB", 2)):
        points = [(point[0], point[column]) for point in told if point[column] is not None]
        early = mean([y for x, y in points if settled <= x < 2 * settled])
        late = mean([y for x, y in points if x >= done * 4 // 5])
        # A few pictures tell nothing of growth.
        grown = None if around.quick else slope([point for point in points if point[0] >= settled])
        most = max((y for _, y in points), default=None)
        report.row(name, *map(shown, (early, late, most, None if grown is None else 1000 * grown)))
    if not complete:
        raise Failure(f"the time was over after {done} of {count} pictures")
    if program.returncode != 0 or done < count:
        log.seek(0)
        raise Failure(f"ended with {program.returncode}: {' '.join(log.read().split()[-40:])}")


def mixed(around, count):
    """JPEG, PNG and PPM, small and large, in a fixed order."""
    folder, drawn = around.folder("mixed"), random.Random(1)
    jpegs = sorted(around.find("samples").glob("*.jpg"))
    for number in range(count):
        name, kind = f"{number:05}", number % 4
        if kind == 0:
            shutil.copy(jpegs[number // 4 % len(jpegs)], folder / f"{name}.jpg")
            continue
        width, height = (drawn.choice(SIDES[:3] if around.quick else SIDES) for _ in range(2))
        samples = pictures.colours(width, height, number)
        if kind == 1:
            pictures.write_png(folder / f"{name}.png", width, height, 3, samples)
        else:
            pictures.write_ppm(folder / f"{name}.ppm", width, height, samples)
    return folder


def resident_mb(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            return next((int(line.split()[1]) / 1000 for line in status if line.startswith("VmRSS")), None)
    except OSError:
        return None


def training(around):
    """Steps a second of `tools`, from the log of a real run, beside the same step in PyTorch."""
    report = around.report
    watch = Watch(around.gpu_number)
    time.sleep(1.5 if around.is_cuda else 0)
    idle = list(watch.samples)
    step, steps, seconds, waited, (batch, patch) = ours(around)
    samples = watch.stop()
    around.stretches.append(("training steps", steps, idle, samples[len(idle):]))
    what = f"Mean net of size S, batch {batch} of {patch}×{patch}. `tools`: {steps} steps in {seconds:.1f} s"
    report.say("", f"{what}, of which it waited {shown(waited, 1, ' %')} for data, which PyTorch has ready in memory.")
    report.head(["program", "precision", "ms a step", "tools ÷ this"])
    report.row("tools", "bf16 bodies on a GPU" if around.is_cuda else "as it chooses", f"{1000 * step:.3f}", "1")
    script, kind = around.find("tools/benches/step.py"), around.device.partition(":")[0]
    for more in ([], ["--f32"]) if around.is_cuda else ([],):
        words = [script, "--threads", os.cpu_count(), "--steps", 5 if around.quick else 100, "--device", kind, *more]
        words += ["--batch", batch, "--patch", patch]
        ran = around.run([sys.executable, *words])
        if ran.code != 0:
            raise Failure(f"PyTorch ended with {ran.code}: {ran.last_words()}")
        told = json.loads(ran.out)
        theirs = sorted(told["seconds"])[len(told["seconds"]) // 2]
        report.row("PyTorch", told["precision"], f"{1000 * theirs:.3f}", f"{step / theirs:.3f}")


def ours(around):
    """Seconds a step once settled, all steps, their seconds, % of them waited for data, (batch, patch)."""
    runs, out = around.folder("runs"), around.folder("trained")
    words = [around.find("target/release/tools"), "train-export", "sr-x4", "--device", around.device.partition(":")[0]]
    words += ["--data", around.find("samples"), "--out", out, "--runs", runs, "--stages", "mean", "--budget", "30m"]
    log = open(around.work / "training.log", "w+", encoding="utf-8")
    until = time.monotonic() + min(TRAINING_SECONDS, around.left() / 2)
    program = around.start(words, stdout=log, stderr=log)
    lines, settled = [], []
    while program.poll() is None and around.left() > 5:
        time.sleep(0.2)
        for path in runs.glob("*/log.jsonl"):
            whole = (line for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}"))
            lines = [json.loads(line) for line in whole]
        settled = [line for line in lines if line["step"] >= (0 if around.quick else SETTLED_STEPS)]
        enough = len(settled) > 1 and settled[-1]["step"] >= (0 if around.quick else LEAST_STEPS)
        if enough and (around.quick or time.monotonic() > until):
            break
    if program.poll() is None:
        os.kill(program.pid, signal.SIGINT)  # It writes a checkpoint, then ends.
        try:
            program.wait(10)
        finally:
            end(program)
    log.seek(0)
    words = log.read()
    if len(settled) < 2:
        last = " ".join(words.split()[-40:])
        raise Failure(f"tools told of too few steps; it ended with {program.returncode}: {last}")
    first, last = settled[0], settled[-1]
    rate = (last["seconds"] - first["seconds"]) / (last["step"] - first["step"])
    waited = WAITED.search(words)
    recipe = json.loads(next(runs.glob("*/recipe.json")).read_text(encoding="utf-8"))
    sizes = recipe["batch"], recipe["patch"]
    return rate, last["step"], last["seconds"], waited and float(waited.group(1)), sizes


def energy(around):
    """From the samples of the sections before."""
    columns = ["W idle before", "W mean", "W most", "load, mean %", "J each", "J each above idle"]
    around.report.head(["what", "how many", *columns])
    told = False
    for what, count, idle, samples in around.stretches:
        total, before = joules(samples), mean([watts for _, _, watts, _, _ in idle])
        if total is None or not count:
            around.report.row(what, count, *["–"] * 6)
            continue
        told = True
        lasted = samples[-1][0] - samples[0][0]
        above = None if before is None else (total - before * lasted) / count
        most = max(watts for _, _, watts, _, _ in samples if watts is not None)
        load = mean([load for _, _, _, load, _ in samples])
        cells = [shown(value) for value in (before, total / lasted, most, load)]
        around.report.row(what, count, *cells, shown(total / count, 4), shown(above, 4))
    if around.is_cuda and not told:
        raise Failure("nvidia-smi told no power")
