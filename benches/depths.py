"""How deep to retrain, and with which recipe, measured: prints the tables of docs/fine_tuning.md.

    python3 benches/depths.py [--tasks digits fashion ants] [--seeds 5] [--only depths|recipes] [--engraft PROGRAM]

Every number is the accuracy on pictures that took no part in anything: mean over seeds, and standard deviation. A seed
decides the folds, the order of the pictures, their changes and, where it is random, the head. Scratch is the control of the
`auto` run, out of fold. Needs nothing but the standard library; the data is a folder of test data, `../shared/data` or
$ENGRAFT_DATA, and `examples/digits`. What is missing is skipped.
"""

import argparse
import gzip
import json
import os
import statistics
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("ENGRAFT_DATA", HERE.parent.parent / "shared/data"))
WEIGHTS = DATA / "weights"
CLASSES = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]
# What is measured at a fixed depth is the held-out split: two folds suffice for the rest.
FIXED = ["--folds", "2", "--seeds", "1", "--control-budget", "0"]
RECIPES = {
    "as it is (LP-FT, 2.6 a stage, frozen statistics)": [],
    "random head instead of the probe's": ["--start", "random"],
    "one rate for all stages": ["--rate-factor", "1"],
    "gradual unfreezing": ["--unfreeze", "gradual"],
    "L2-SP 0.01": ["--l2-sp", "0.01"],
    "L2-SP 0.1": ["--l2-sp", "0.1"],
    "batch statistics": ["--batch-norm", "train"],
    "no changed views": ["--augment", "none"],
}


def png(pixels, width, height):
    """A greyscale PNG of bytes."""
    rows = b"".join(b"\0" + pixels[y * width : (y + 1) * width] for y in range(height))

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def fashion(folder):
    """20 pictures of each class to learn from, and 1,000 to measure on."""
    source = DATA / "fashion_mnist"
    files = sorted(source.glob("*images*idx3*.gz")) if source.is_dir() else []
    if not files:
        return None
    count = {"train": 20, "test": 100}
    taken = {split: [0] * 10 for split in count}
    for images in files:
        labels = Path(str(images).replace("images", "labels").replace("idx3", "idx1"))
        pixels, names = gzip.open(images).read()[16:], gzip.open(labels).read()[8:]
        for index, label in enumerate(names):
            split = "train" if taken["train"][label] < count["train"] else "test"
            if taken[split][label] >= count[split]:
                continue
            taken[split][label] += 1
            place = folder / "fashion" / split / CLASSES[label]
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{taken[split][label]:04}.png").write_bytes(png(pixels[index * 784 : (index + 1) * 784], 28, 28))
    return folder / "fashion", WEIGHTS / "resnet20-12fca82f.th", ["--epochs", "10"]


def ants(folder):
    """Ants and bees."""
    archive = DATA / "images/hymenoptera.tar"
    if not archive.is_file():
        return None
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    weights = WEIGHTS / "mobilenet_v2_1.0_224_quant.torchvision.safetensors"
    return folder / "hymenoptera/hymenoptera_data", weights, ["--epochs", "5"]


def digits(_folder):
    """The digits that the repository carries."""
    return HERE.parent / "examples/digits", "glyphs", ["--epochs", "10"]


TASKS = {"digits": digits, "fashion": fashion, "ants": ants}


def run(engraft, task, flags, folder):
    """The report of a fit."""
    data, base, more = task
    line = [engraft, "fit", data, "--base", base, "--out", folder / "run", "--force", "--json", "--quiet"]
    line += ["--cache", folder / "cache", *more, *flags]
    start = time.perf_counter()
    done = subprocess.run([str(word) for word in line], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout), time.perf_counter() - start


def held_out(report):
    return report["held_out"][0]["accuracy"]["mean"]


def spread(values):
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{100 * statistics.mean(values):.1f} ± {100 * deviation:.1f}"


def depths(engraft, name, task, seeds, folder):
    """The table of one task."""
    print(f"\n### {name}\n\n| depth | held out, % | seconds |\n|---|---:|---:|", flush=True)
    for depth in ["head", "last", "half", "all"]:
        runs = [run(engraft, task, ["--depth", depth, "--seed", str(seed), *FIXED], folder) for seed in range(seeds)]
        values = [held_out(report) for report, _ in runs]
        print(f"| {depth} | {spread(values)} | {statistics.median(s for _, s in runs):.0f} |", flush=True)
    runs = [run(engraft, task, ["--seed", str(seed)], folder) for seed in range(seeds)]
    values = [held_out(report) for report, _ in runs]
    choices = ", ".join(report["choice"]["depth"] for report, _ in runs)
    print(f"| auto ({choices}) | {spread(values)} | {statistics.median(s for _, s in runs):.0f} |")
    scratch = [report["controls"]["scratch"]["accuracy"]["mean"] for report, _ in runs]
    print(f"| from scratch, out of fold | {spread(scratch)} | |", flush=True)


def recipes(engraft, name, task, seeds, folder):
    """What each part of the recipe is worth on one task, at depth `all`: paired by seed."""
    print(f"\n### {name}, every stage\n\n| recipe | held out, % | against the first |\n|---|---:|---:|", flush=True)
    first = None
    for recipe, flags in RECIPES.items():
        line = ["--depth", "all", *FIXED, *flags]
        values = [held_out(run(engraft, task, [*line, "--seed", str(seed)], folder)[0]) for seed in range(seeds)]
        first = first or values
        differences = [value - other for value, other in zip(values, first)]
        print(f"| {recipe} | {spread(values)} | {spread(differences)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engraft", default="target/release/engraft")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", choices=["depths", "recipes"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in options.tasks:
            task = TASKS[name](folder)
            if task is None:
                print(f"{name}: skipped, its data is not there", file=sys.stderr)
                continue
            if options.only != "recipes":
                depths(options.engraft, name, task, options.seeds, folder)
            if options.only != "depths" and name != "ants":
                recipes(options.engraft, name, task, options.seeds, folder)


if __name__ == "__main__":
    main()
