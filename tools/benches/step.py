"""Training steps of the S mean net in PyTorch, for `cargo bench -p tools --bench step` and `scripts/gpu-check`.

    step.py --threads N --steps K [--f32] [--device cpu|cuda] [--batch N] [--patch SIDE]

The net, sizes and step of the trainer's stage A (`tools/src/net/mean.rs`, `train/`, `recipe/`): batch 16 of
32×32 pixels unless told otherwise, enlarged four times, Charbonnier loss, clipped Adam, EMA; the data lie ready
in memory. Written for speed in eager PyTorch: channels-last, fused Adam, foreach EMA, on a GPU also cudnn.benchmark.
On a GPU, and where the CPU has avx512_bf16, the body is bf16, as in the trainer, unless --f32: by explicit casts or torch.autocast,
whichever warms up faster; elsewhere bf16 is emulated and slow, so it is f32 (on a GPU without TF32). Prints one line
of JSON after 5 warm-up steps:

    {"seconds": [each measured step], "parameters": n, "precision": "f32" | "bf16 casts" | "bf16 autocast"}
"""

import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F

CHANNELS, BLOCKS, SCALE, BORDER = 48, 8, 4, 2
RATE, CLIP, EMA_DECAY, WARM_UP = 1e-3, 0.5, 0.999, 5
PRECISIONS = {"f32": torch.float32, "bf16 casts": torch.bfloat16, "bf16 autocast": torch.float32}


def keys(t):
    """Keys' cubic kernel, a = -0.5."""
    t = abs(t)
    return (1.5 * t - 2.5) * t * t + 1 if t <= 1 else ((-0.5 * t + 2.5) * t - 4) * t + 2 if t < 2 else 0.0


def enlargement():
    """Bicubic enlargement as a depthwise convolution to the folded picture: 3s² kernels of 5×5."""
    offsets = [(phase + 0.5) / SCALE - 0.5 for phase in range(SCALE)]
    rows = torch.tensor([[keys(tap - offset) for tap in range(-2, 3)] for offset in offsets])
    kernel = torch.einsum("ir,jc->ijrc", rows, rows).reshape(SCALE * SCALE, 1, 5, 5)
    return kernel.repeat(3, 1, 1, 1)


def conv(inputs, outputs, gain):
    layer = torch.nn.Conv2d(inputs, outputs, 3, padding=1)
    torch.nn.init.normal_(layer.weight, std=gain * (2 / (inputs * 9)) ** 0.5)
    torch.nn.init.zeros_(layer.bias)
    return layer


class MeanNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.input = conv(3, CHANNELS, 1.0)
        # What is known of the picture's source s: linear in s and s².
        self.source = torch.nn.Linear(2, CHANNELS)
        torch.nn.init.zeros_(self.source.weight)
        torch.nn.init.zeros_(self.source.bias)
        self.first = torch.nn.ModuleList(conv(CHANNELS, CHANNELS, 1.0) for _ in range(BLOCKS))
        self.second = torch.nn.ModuleList(conv(CHANNELS, CHANNELS, 0.3) for _ in range(BLOCKS))
        self.join = conv(CHANNELS, CHANNELS, 0.3)
        self.output = conv(CHANNELS, 3 * SCALE * SCALE, 0.1)
        self.register_buffer("kernel", enlargement())

    def body(self, y, source, kind):
        def apply(layer, x):
            return F.conv2d(x, layer.weight.to(kind), layer.bias.to(kind), padding=1)

        told = self.source(torch.cat([source, source.square()], 1))[:, :, None, None]
        first = h = apply(self.input, (y - 0.5).to(kind)) + told.to(kind)
        for conv1, conv2 in zip(self.first, self.second):
            h = h + apply(conv2, F.relu(apply(conv1, h), inplace=True))
        return apply(self.output, apply(self.join, h) + first)

    def forward(self, y, source, precision):
        with torch.autocast(y.device.type, dtype=torch.bfloat16, enabled=precision == "bf16 autocast"):
            residual = self.body(y, source, PRECISIONS[precision])
        return F.conv2d(y, self.kernel, padding=2, groups=3) + residual.float()


def charbonnier(mean, truth):
    d = (mean - truth)[:, :, BORDER:-BORDER, BORDER:-BORDER]
    return (d.square() + 1e-6).sqrt().mean()


def trainer(net, y, source, x):
    """A function that takes one step at a precision and returns its seconds."""
    weights = list(net.parameters())
    average = [weight.detach().clone() for weight in weights]
    adam = torch.optim.Adam(weights, lr=RATE, betas=(0.9, 0.999), eps=1e-8, fused=True)

    def step(precision):
        started = time.perf_counter()
        adam.zero_grad(set_to_none=True)
        loss = charbonnier(net(y, source, precision), x)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, CLIP, foreach=True)
        adam.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, weights, 1 - EMA_DECAY)
        assert torch.isfinite(loss).item(), "the loss is not finite"  # On a GPU this also waits for the step.
        return time.perf_counter() - started

    return step


def main():
    parser = argparse.ArgumentParser()
    for name in ("--threads", "--steps"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--patch", type=int, default=32)
    parser.add_argument("--f32", action="store_true")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    place = {"device": options.device, "memory_format": torch.channels_last}
    net = MeanNet().to(**place)
    batch, patch = options.batch, options.patch
    y = torch.rand(batch, 3, patch, patch).to(**place)
    x = torch.rand(batch, 3 * SCALE * SCALE, patch, patch).to(**place)
    step = trainer(net, y, torch.rand(batch, 1).to(options.device), x)
    fast = options.device == "cuda" or torch.cpu.get_capabilities().get("avx512_bf16", False)
    bf16 = fast and not options.f32
    warm = {p: statistics.median(step(p) for _ in range(WARM_UP)) for p in PRECISIONS if (p != "f32") == bf16}
    best = min(warm, key=warm.get)
    seconds = [step(best) for _ in range(options.steps)]
    parameters = sum(weight.numel() for weight in net.parameters())
    print(json.dumps({"seconds": seconds, "parameters": parameters, "precision": best}))


main()
