"""Fits a head to every base of the test data, on two sets of photos: the table of docs/bases.md.

    cargo build --release
    python3 benches/bases.py [--engraft target/release/engraft] [--sets hymenoptera flowers] [--only PART]

Needs nothing but the standard library and Linux. The data is a folder of test data, `../shared/data` or $ENGRAFT_DATA;
what it lacks is skipped. Every fit runs alone, from nothing (`--no-cache --control-budget 0`), on two threads.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from photos import SETS, Failed, command, unpack

BASES = [
    "mobilenet_v2_1.0_224_quant.torchvision.safetensors",
    "squeezenet1_0_torchvision.pth",
    "squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "tiny_darknet.safetensors",
    "vww_96.h5",
    "pretrainedResnet.h5",
    "resnet20-12fca82f.th",
    "resnet32-d509ac18.th",
]


def row(engraft, base, photos, folder):
    """One fit as numbers."""
    line = [engraft, "fit", photos, "--base", base, "--out", folder / "run", "--force", "--no-cache", "--control-budget", "0"]
    result = command([*line, "--threads", "2", "--json", "--quiet"], folder)
    report = json.loads(result["text"])
    accuracy = report["accuracy"]
    held = report["held_out"][0]["accuracy"] if report["held_out"] else None
    return {
        "out_of_fold": accuracy,
        "held_out": held,
        "seconds": result["wall"],
        "images_per_second": report["images_per_second"],
        "memory_mb": result["memory_mb"],
    }


def share(estimate):
    if estimate is None:
        return "-"
    return f"{100 * estimate['mean']:.1f} ({100 * estimate['low']:.1f}-{100 * estimate['high']:.1f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engraft", default="target/release/engraft")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--only", default="", help="bases whose file name holds this")
    args = parser.parse_args()
    data = Path(os.environ.get("ENGRAFT_DATA", "../shared/data"))
    if not data.is_dir():
        sys.exit(f"skipped: no folder of test data at {data} (set ENGRAFT_DATA)")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in args.sets:
            archive, inside = SETS[name]
            place = folder / name
            place.mkdir()
            photos = unpack(data / archive, place, inside, None)
            print(f"\n### {name}\n")
            print("| base | MB | features | out of fold, % | held out, % | seconds | pictures / s | memory, MB |")
            print("|---|---|---|---|---|---|---|---|")
            for file in [base for base in BASES if args.only in base]:
                path = data / "weights" / file
                shown = json.loads(command([args.engraft, "bases", "show", path, "--json"], folder)["text"])
                features = shown["stages"][-1]["outputs"][0][0]
                try:
                    numbers = row(args.engraft, path, photos, folder)
                except Failed as problem:
                    print(f"| {shown['card']['id']} | failed: {problem} |")
                    continue
                print(
                    f"| {shown['card']['id']} | {path.stat().st_size / 1e6:.1f} | {features} "
                    f"| {share(numbers['out_of_fold'])} | {share(numbers['held_out'])} | {numbers['seconds']:.1f} "
                    f"| {numbers['images_per_second']:.0f} | {numbers['memory_mb']:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
