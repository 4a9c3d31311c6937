"""What nvidia-smi says while something runs: memory, power, load, read in a thread of its own."""
import subprocess
import threading
import time

ASKED = "memory.used,power.draw,utilization.gpu,clocks.sm"
EVERY_MS = 200


class Watch:
    """Samples of one GPU: (seconds since the start, MiB of memory, watts, load in %, MHz); None if not told."""

    def __init__(self, gpu_number):
        self.samples, self.started = [], time.monotonic()
        command = ["nvidia-smi", "-i", gpu_number, f"--query-gpu={ASKED}", "--format=csv,noheader,nounits"]
        try:
            self.program = subprocess.Popen(
                [*command, "-lms", str(EVERY_MS)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        except OSError:
            self.program = None
            return
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.program.stdout:
            numbers = [number(word) for word in line.split(",")]
            if len(numbers) == 4:
                self.samples.append((time.monotonic() - self.started, *numbers))

    def stop(self):
        if self.program is not None:
            self.program.terminate()
            self.program.wait()
            self.thread.join(5)
        return self.samples


def number(word):
    try:
        return float(word)
    except ValueError:
        return None


def joules(samples):
    """Energy over all samples, by trapezoids; None where no power was told."""
    told = [(at, watts) for at, _, watts, _, _ in samples if watts is not None]
    if len(told) < 2:
        return None
    return sum((b - a) * (v + w) / 2 for (a, v), (b, w) in zip(told, told[1:]))


def mean(values):
    values = [value for value in values if value is not None]
    return sum(values) / len(values) if values else None


def slope(points):
    """Least squares: how much y grows for each x."""
    if len(points) < 2:
        return None
    middle_x, middle_y = mean([x for x, _ in points]), mean([y for _, y in points])
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread if spread else None


def shown(value, digits=1, unit=""):
    return "–" if value is None else f"{value:.{digits}f}{unit}"
