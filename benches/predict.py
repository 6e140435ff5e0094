#!/usr/bin/env python3
"""What a step should take on a GPU, from the program's own counts, as a Markdown table: see docs/performance.md.

    for n in 1 2; do
        ddgan profile cifar10 --device cpu --batch $n --runs 1 --part train --ceilings 1,1 --trace $n.json
    done
    predict.py 1.json 2.json --batch 64 [--by-kernel] [--top N] [--measured profile-train-bf16.json]

floor       bytes by the speed of a copy or FLOPs by that of a matrix product, whichever takes longer, in bf16
expected    of our kernels as they are: below
measured    what `ddgan profile --device cuda --precision bf16 --batch 64 --part train --json` wrote, if given
"""

import argparse
import json
import math
import re
from collections import defaultdict

# An H200: bytes a second of a copy, FLOP a second of a large product in bf16, multiprocessors.
COPY, PRODUCT, MULTIPROCESSORS = 4.3e12, 790e12, 132
# What our kernels should reach of either; group norm reads rows of 32 bytes, attention has few warps on a
# multiprocessor.
OF_COPY = defaultdict(lambda: 0.8, group_norm=0.65)
OF_PRODUCT = defaultdict(lambda: 0.8, attention=0.25)
# Convolutions, by their tiles: mma.sync gets some 62% of what tensor cores can. By count of its machine code a tile of
# 128 reads as much of shared memory meanwhile as it can, one of 64 takes twice as long for it; a fifth is for waiting.
OF_TILES = {128: 0.62 * 0.8, 64: 0.62 * 0.8 * 0.54}
# Seconds from one kernel to the next in a graph, however little they do.
LAUNCH = 2.5e-6
# The operations whose sizes the table tells.
SIZED = ("conv2d", "group_norm", "attention", "resample")


def operations(path):
    """(operation, sizes, bytes, FLOPs) of a trace, in their order."""
    events = json.load(open(path))["traceEvents"]
    events = [event for event in events if event["ph"] == "X" and event["tid"] == 0]
    return [(e["name"], e["args"]["sizes"], e["args"]["bytes"], e["args"]["flops"]) for e in events]


def at(batch, one, two):
    """The operations of a batch, in bf16, from those of one picture and of two in f32: counts are linear in it."""
    for (name, sizes, bytes1, flops1), (other, _, bytes2, flops2) in zip(one, two, strict=True):
        assert name == other, f"{name} beside {other}: not traces of the same step"
        bytes_ = bytes1 + (bytes2 - bytes1) * (batch - 1)
        # Parameters that are trained are f32, and so are sums of their gradients.
        is_f32 = name.startswith("adam") or (name.startswith("scale_add") and bytes1 == bytes2)
        yield name, sizes, bytes_ if is_f32 else bytes_ / 2, flops1 + (flops2 - flops1) * (batch - 1)


def convolution(name, sizes, flops, batch):
    """Seconds of tiles of 128x128 or 64x64, as conv2d/own.rs cuts and chooses them."""
    h, w, c, k, r, s = map(int, re.match(r"\d+x(\d+)x(\d+)x(\d+) > (\d+), (\d+)x(\d+)", sizes).groups())
    pixels = flops / (2 * k * r * s * c)
    forward, parts = name.endswith("forward"), 1
    # Filled up to whole packs of 16 bytes, as conv2d/packs.rs does; the time of that is left out.
    c, k = 8 * math.ceil(c / 8), k if forward else 8 * math.ceil(k / 8)
    if forward:
        rows, columns, depth = pixels, k, r * s * c
    elif name.endswith("input_grad"):
        rows, columns, depth = batch * h * w, c, r * s * k
    else:
        rows, columns = r * s * c, k
        slots, tiles = 2 * MULTIPROCESSORS, math.ceil(rows / 128) * math.ceil(columns / 128)
        cost = lambda n: math.ceil(tiles * n / slots) * slots * pixels // (tiles * n) + 400 * n
        depth = 32 * math.ceil(math.ceil(pixels / min(range(1, slots + 1), key=cost)) / 32)
        parts = math.ceil(pixels / depth)
    turns = {tile: math.ceil(math.ceil(rows / tile) * math.ceil(columns / tile) * parts / MULTIPROCESSORS)
             for tile in (128, 64)}
    tile = 128 if 2 * turns[128] <= turns[64] else 64
    sums = 8 * parts * rows * columns / COPY if parts > 1 else 0
    return turns[tile] * 2 * tile * tile * depth / (OF_TILES[tile] * PRODUCT / MULTIPROCESSORS) + sums


def expected(name, sizes, bytes_, flops, batch):
    kind = name.split("::")[0]
    if kind == "conv2d":
        arithmetic = convolution(name, sizes, flops, batch)
    else:
        arithmetic = flops / PRODUCT / OF_PRODUCT[kind]
    return max(bytes_ / COPY / OF_COPY[kind], arithmetic, LAUNCH)


def key(name, sizes, by_kernel):
    """The row of an operation: sizes without the batch."""
    told = not by_kernel and name.startswith(SIZED)
    return name, re.sub(r"^\d+x", "", sizes).replace(">", "to") if told else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("one")
    parser.add_argument("two")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--by-kernel", action="store_true", help="a row for each kernel, whatever the sizes")
    parser.add_argument("--top", type=int, default=1000, help="so many rows, and the others as one")
    parser.add_argument("--measured")
    args = parser.parse_args()

    rows = defaultdict(lambda: [0] * 6)  # calls, bytes, FLOPs, floor, expected; seconds measured
    for name, sizes, bytes_, flops in at(args.batch, operations(args.one), operations(args.two)):
        floor = max(bytes_ / COPY, flops / PRODUCT)
        if bytes_ == 0:
            continue
        counts = [1, bytes_, flops, floor, expected(name, sizes, bytes_, flops, args.batch), 0]
        row = key(name, sizes, args.by_kernel)
        rows[row] = [a + b for a, b in zip(rows[row], counts)]
    # What has no row here, such as casts, is among the others.
    for row in json.load(open(args.measured))[0]["rows"] if args.measured else []:
        rows[key(row["operation"], row["sizes"], args.by_kernel)][5] += row["seconds"]

    def line(name, sizes, total):
        calls, bytes_, flops, floor, seconds, measured = total
        bound = "FLOPs" if flops / PRODUCT > bytes_ / COPY else "bytes"
        measured = f"{1e6 * measured:.1f}" if measured else ""
        print(f"| {name} | {sizes} | {calls} | {bytes_ / 1e6:.0f} | {flops / 1e9:.1f} | {1e6 * floor:.1f} | {bound} "
              f"| {1e6 * seconds:.0f} | {measured} |")

    ordered = sorted(rows.items(), key=lambda item: -item[1][3])
    print("| operation | sizes | calls | MB | GFLOP | floor, us | bound by | expected, us | measured, us |")
    print("|---" * 9 + "|")
    for (name, sizes), total in ordered[:args.top]:
        line(f"`{name}`", sizes, total)
    if ordered[args.top:]:
        line("the others", "", map(sum, zip(*(total for _, total in ordered[args.top:]))))
    line("**all**", "", map(sum, zip(*rows.values())))


if __name__ == "__main__":
    main()
