"""The usual loop: watchdog sees a file, Pillow decodes it, ONNX Runtime enlarges it tile by tile, Pillow writes a
PNG. It is given what onestep has: the same model file, windows, halo and number of cores.

    loop.py MODEL IN OUT HALO CORES PNG-LEVEL
"""

import os
import queue
import sys

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime as ort
from PIL import Image
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

WINDOW = 384


def enlarge(session, picture, halo):
    height, width, _ = picture.shape
    side_y, side_x = min(WINDOW, height + 2 * halo), min(WINDOW, width + 2 * halo)
    core_y, core_x = side_y - 2 * halo, side_x - 2 * halo
    tall, wide = -(-height // core_y) * core_y, -(-width // core_x) * core_x
    pad = ((halo, halo + tall - height), (halo, halo + wide - width), (0, 0))
    padded = np.pad(picture, pad, mode="reflect").astype(np.float32) / 255
    large = None
    for y in range(0, height, core_y):
        for x in range(0, width, core_x):
            window = padded[y : y + side_y, x : x + side_x].transpose(2, 0, 1)[None]
            told = np.full((1, 1, 1, 1), 0.5, np.float32)  # a photo, as onestep says of JPEG
            tile = session.run(["output"], {"image": np.ascontiguousarray(window), "source": told})[0][0]
            scale = tile.shape[1] // side_y
            if large is None:
                large = np.empty((tall * scale, wide * scale, 3), np.uint8)
            cut = tile[:, halo * scale : (side_y - halo) * scale, halo * scale : (side_x - halo) * scale]
            rows, columns = slice(y * scale, (y + core_y) * scale), slice(x * scale, (x + core_x) * scale)
            large[rows, columns] = (cut.clip(0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)
    return large[: height * scale, : width * scale]


class Handler(FileSystemEventHandler):
    def __init__(self, files):
        self.files = files

    def on_closed(self, event):
        self.files.put(event.src_path)


def main():
    model, source, target, halo, cores, level = sys.argv[1:]
    options = ort.SessionOptions()
    options.intra_op_num_threads = int(cores)
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    files = queue.Queue()
    observer = Observer()
    observer.schedule(Handler(files), source)
    observer.start()
    print("watching", flush=True)
    while True:
        path = files.get()
        picture = np.asarray(Image.open(path).convert("RGB"))
        name = os.path.splitext(os.path.basename(path))[0] + ".png"
        temp = os.path.join(target, "." + name)
        Image.fromarray(enlarge(session, picture, int(halo))).save(temp, "PNG", compress_level=int(level))
        os.rename(temp, os.path.join(target, name))


main()
