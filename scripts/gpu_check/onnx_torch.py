"""An ONNX file of ours, node by node in PyTorch: the very same net and weights, for a comparison of speed.

    onnx_torch.py MODEL --device cpu|cuda --cells 1x384,8x384 --seconds N

First the card's golden tile is evaluated where the file needs no noise for it, so that it is the same net. Then, in
eager mode, for each batch and window: f32 as it comes; f32 with channels_last and cudnn.benchmark; f16 likewise (not on
a CPU). TF32 is off. Prints one line of JSON for each: tiles a second with everything on the device, and with the input
from the host and the output back to it, as f32. Knows the operations of our own files and no others.
"""
import argparse
import json
import statistics
import struct
import time

import torch
import torch.nn.functional as F

GROUPS, WARM_UP = 5, 3


def fields(data):
    """(number, value) of a protobuf message: whole numbers, or the bytes of everything else."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
            continue
        length = {1: 8, 5: 4}.get(kind) or varint()
        yield key >> 3, data[at : at + length]
        at += length


def whole_numbers(values):
    """A repeated int64, packed or not."""
    found = []
    for value in values:
        if isinstance(value, int):
            found.append(value)
        else:
            found += [number for _, number in fields(b"".join(b"\x08" + v for v in split(value)))]
    return [value - (1 << 64) if value >> 63 else value for value in found]


def split(packed):
    start = 0
    for at, byte in enumerate(packed):
        if byte < 128:
            yield packed[start : at + 1]
            start = at + 1


def message(data):
    found = {}
    for number, value in fields(data):
        found.setdefault(number, []).append(value)
    return found


def attribute(data):
    """(name, value); numbers as in onnx.proto: f 2, i 3, s 4, ints 8."""
    told = message(data)
    name = told[1][0].decode()
    if 8 in told:
        return name, whole_numbers(told[8])
    if 4 in told:
        return name, told[4][0].decode()
    return name, struct.unpack("<f", told[2][0])[0] if 2 in told else whole_numbers(told.get(3, [0]))[0]


class Net:
    """The graph of a file. Inputs and outputs as the file has them."""

    def __init__(self, path):
        model = message(open(path, "rb").read())
        graph = message(model[7][0])
        entries = [message(entry) for entry in model.get(14, [])]
        self.card = {entry[1][0].decode(): entry.get(2, [b""])[0].decode() for entry in entries}
        self.weights = {}
        for data in graph.get(5, []):
            told = message(data)
            if told[2][0] != 1 or 9 not in told:
                raise SystemExit("a weight is not raw f32")
            values = torch.frombuffer(bytearray(told[9][0]), dtype=torch.float32)
            self.weights[told[8][0].decode()] = values.reshape(whole_numbers(told.get(1, [])))
        self.nodes = []
        for data in graph[1]:
            told = message(data)
            names = [[name.decode() for name in told.get(number, [])] for number in (1, 2)]
            self.nodes.append((told[4][0].decode(), *names, dict(attribute(entry) for entry in told.get(5, []))))
        inputs = [message(data)[1][0].decode() for data in graph[11]]
        self.inputs = [name for name in inputs if name not in self.weights]
        self.output = message(graph[12][0])[1][0].decode()
        # What is not needed any more is let go, or a large batch would not fit.
        self.last = {name: at for at, (_, names, _, _) in enumerate(self.nodes) for name in names}
        self.constants = {name: value.tolist() for name, value in self.weights.items() if value.numel() <= 4}

    def place(self, device, kind, layout):
        """Brings the weights to a device, a precision and an order in memory."""
        for name, weight in self.weights.items():
            order = layout if weight.dim() == 4 else torch.contiguous_format
            self.weights[name] = weight.to(device, kind).contiguous(memory_format=order)
        return self

    def __call__(self, *given):
        values = dict(zip(self.inputs, given))
        for at, (kind, inputs, (output,), options) in enumerate(self.nodes):
            operands = [values[name] if name in values else self.weights[name] if name else None for name in inputs]
            values[output] = self.apply_node(kind, operands, inputs, options)
            for name in inputs:
                if self.last[name] == at:
                    values.pop(name, None)
        return values[self.output]

    def apply_node(self, kind, x, names, options):
        if kind == "Conv":
            pads = options.get("pads", [0, 0, 0, 0])
            more = {"stride": options.get("strides", 1), "dilation": options.get("dilations", 1)}
            return F.conv2d(*x, padding=pads[:2], groups=options.get("group", 1), **more)
        if kind in ("Add", "Sub", "Mul"):
            return {"Add": torch.add, "Sub": torch.sub, "Mul": torch.mul}[kind](*x)
        if kind in ("Relu", "Exp"):
            return F.relu(x[0]) if kind == "Relu" else torch.exp(x[0])
        if kind == "Clip":
            return torch.clamp(x[0], self.constants[names[1]], self.constants[names[2]])
        if kind == "Concat":
            return torch.cat(x, options["axis"])
        if kind == "DepthToSpace" and options.get("mode") == "CRD":
            return F.pixel_shuffle(x[0], options["blocksize"])
        if kind == "AveragePool":
            return F.avg_pool2d(x[0], options["kernel_shape"], options["strides"])
        if kind == "Resize" and options["mode"] == "nearest":
            return F.interpolate(x[0], scale_factor=self.constants[names[2]][2:], mode="nearest")
        raise SystemExit(f"{kind} with {options} is not known here")


def golden_error(net, device):
    """How far the golden tile of the card is missed; None for nets that draw noise or know of masks."""
    card = net.card
    if set(net.inputs) - {"image", "source"} or "onestep.golden.image" not in card:
        return None
    names = ("golden.side", "golden.middle", "scale", "halo")
    side, middle, scale, halo = (int(card[f"onestep.{name}"]) for name in names)
    image = torch.tensor(list(bytes.fromhex(card["onestep.golden.image"])), dtype=torch.float32)
    image = (image.reshape(side, side, 3).permute(2, 0, 1)[None] / 255).to(device)
    image = F.pad(image, [halo] * 4, mode="reflect")  # As the daemon shows it: with a halo, mirrored.
    expected = bytes.fromhex(card["onestep.golden.expected"])
    expected = torch.tensor(struct.unpack(f">{len(expected) // 2}H", expected)) / 65535.0
    start = (halo + (side - middle) // 2) * scale
    given = {"image": image, "source": torch.zeros(1, 1, 1, 1, device=device)}
    with torch.inference_mode():
        made = net(*(given[name] for name in net.inputs))
    made = made[0, :, start : start + middle * scale, start : start + middle * scale]
    return (made.clamp(0, 1).cpu().flatten() - expected).abs().max().item()


def inputs_for(net, batch, side):
    scale = int(net.card["onestep.scale"])
    torch.manual_seed(1)
    shapes = {"image": (batch, 3, side, side), "mask": (batch, 1, side, side)}
    shapes["noise"] = (batch, 3, side * scale, side * scale)
    return [torch.rand(shapes.get(name, (batch, 1, 1, 1))) for name in net.inputs]


def measure(net, given, device, seconds, from_host):
    """Evaluations a second: the median of some groups."""
    is_cuda = device == "cuda"
    kind = next(iter(net.weights.values())).dtype

    def once():
        told = [x.to(device, kind, non_blocking=True) for x in given] if from_host else given
        made = net(*told)
        return made.float().cpu() if from_host else made

    def group(times):
        if is_cuda:
            torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(times):
            once()
        if is_cuda:
            torch.cuda.synchronize()
        return (time.perf_counter() - started) / times

    with torch.inference_mode():
        group(WARM_UP if is_cuda else 1)
        times = max(1, int(seconds / GROUPS / group(1)))
        return 1 / statistics.median(group(times) for _ in range(GROUPS if is_cuda else 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--device", choices=("cpu", "cuda"), required=True)
    parser.add_argument("--cells", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    words = parser.parse_args()
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    net = Net(words.model).place(words.device, torch.float32, torch.contiguous_format)
    print(json.dumps({"golden": golden_error(net, words.device), "torch": torch.__version__}), flush=True)
    end = time.monotonic() + words.seconds
    variants = [("f32", torch.float32, torch.contiguous_format)]
    variants += [("f32, channels_last", torch.float32, torch.channels_last)]
    variants += [("f16, channels_last", torch.float16, torch.channels_last)] if words.device == "cuda" else []
    for name, kind, layout in variants:
        torch.backends.cudnn.benchmark = layout is torch.channels_last
        net.place(words.device, kind, layout)
        for batch, side in (map(int, cell.split("x")) for cell in words.cells.split(",")):
            if time.monotonic() > end:
                return
            host = [x.contiguous(memory_format=layout) for x in inputs_for(net, batch, side)]
            pinned = [x.pin_memory() for x in host] if words.device == "cuda" else host
            there = [x.to(words.device, kind) for x in host]
            rates = [measure(net, *pair) for pair in ((there, words.device, 1, False), (pinned, words.device, 1, True))]
            tiles = [rate * batch for rate in rates]
            said = {"variant": name, "batch": batch, "window": side, "tiles_per_s": tiles[0], "from_host": tiles[1]}
            print(json.dumps(said), flush=True)


main()
