"""What the sections of gpu-check share: where things lie, programs that get so long and no longer, the report."""
import importlib.util
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time


class Failure(Exception):
    """A sentence for the report: this cannot be measured here."""


class Ran:
    """A program that ended by itself."""

    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds

    def last_words(self):
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        return " ".join(lines[-2:])[:400] or "it said nothing"


class Report:
    """Markdown, written line by line, so that what was measured stays when the run is cut off."""

    def __init__(self, path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(path, "w", encoding="utf-8")

    def say(self, *lines):
        for line in lines:
            self.file.write(f"{line}\n")
        self.file.flush()

    def head(self, columns):
        self.say("", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}")

    def row(self, *cells):
        self.say(f"| {' | '.join(str(cell).replace('|', '/').replace(chr(10), ' ') for cell in cells)} |")


class Around:
    """The box as gpu-check finds it."""

    def __init__(self, root, device, quick, report):
        self.root, self.device, self.quick, self.report = root, device, quick, report
        self.is_cuda = device.startswith("cuda")
        self.gpu_number = device.partition(":")[2] or "0"
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="onestep-gpu-check."))
        self.section_end = time.monotonic()
        self.stretches = []  # (what, how many, samples while idle, samples at work): the energy section reads them
        self.bare = {}  # (precision, batch, window) → tiles a second of the bare loop, for the comparison with PyTorch
        self.folders = cuda_folders(root)
        self.environment = self.surroundings()

    def find(self, place):
        """A path of the pack, or of the checkout that it was unpacked in."""
        for folder in (self.root, self.root.parent):
            if (folder / place).exists():
                return folder / place
        raise Failure(f"{place} is neither in {self.root} nor above it")

    def library(self):
        """ONNX Runtime: the one for CUDA, on a CPU the plain one where that is all there is."""
        names = [".runtime/onnxruntime-gpu/libonnxruntime.so"]
        names += [] if self.is_cuda else [".runtime/libonnxruntime.so"]
        for name in names:
            try:
                return self.find(name)
            except Failure:
                continue
        raise Failure(f"{names[0]} is missing: scripts/fetch-runtime --gpu, or gpu-unpack")

    def surroundings(self):
        known = os.environ.get("LD_LIBRARY_PATH", "").split(":")
        folders = [str(folder) for folder in self.folders] + [folder for folder in known if folder]
        home = {"LD_LIBRARY_PATH": ":".join(folders), "HOME": str(self.work), "XDG_STATE_HOME": str(self.work / "xdg")}
        return {**os.environ, **home, "RUST_LOG": "info,onestep=debug,ort=warn", "ORT_DISABLE_TELEMETRY": "1"}

    def left(self):
        return self.section_end - time.monotonic()

    def run(self, command, limit=None, **more):
        """Runs a program to its end, within the section's time."""
        program = self.start(command, **more)
        started = time.monotonic()
        limit = min(limit or self.left(), self.left())
        try:
            out, err = program.communicate(timeout=max(limit, 0.1))
        except subprocess.TimeoutExpired:
            end(program)
            raise Failure(f"{shown(command)} was not done after {limit:.0f} s") from None
        return Ran(program.returncode, out, err, time.monotonic() - started)

    def start(self, command, **more):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": self.root, **more}
        environment = {**self.environment, "ORT_DYLIB_PATH": str(self.library())}
        words = [str(word) for word in command]
        return subprocess.Popen(words, env=environment, start_new_session=True, **options)

    def onestep(self, *words, limit=None):
        return self.run([self.find("target/release/onestep"), *words], limit)

    def folder(self, name):
        """A fresh folder below the working place."""
        path = self.work / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def done(self):
        shutil.rmtree(self.work, ignore_errors=True)
        self.report.file.close()


def end(program):
    """Ends a program and all it has started: asked first, then made."""
    for number, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        try:
            os.killpg(program.pid, number)
            program.wait(patience)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def shown(command):
    words = [str(word) for word in command]
    return " ".join([pathlib.Path(words[0]).name, *words[1:3]])


def cuda_folders(root):
    """Folders with CUDA's libraries: those of fetch-runtime, those of the pip packages that torch brings, its own."""
    fetched = [root / ".runtime/cuda/lib", root / ".runtime/libtorch-gpu/lib"]
    found = [folder for folder in fetched if folder.is_dir()]
    torch = importlib.util.find_spec("torch")
    if torch and torch.submodule_search_locations:
        home = pathlib.Path(torch.submodule_search_locations[0])
        found += sorted(home.parent.glob("nvidia/*/lib")) + [home / "lib"]
    return found
