"""Seconds of an epoch of fine-tuning from a cut, engraft beside PyTorch in turns, and the accuracy that both reach.

    python3 benches/fine_tuning.py --peer-python peer/bin/python [--runs 3] [--stage block14 --from-block 14]

engraft trains from activations that were computed once; its epoch is the difference of two fits, one of them with more
epochs, divided by the number of epochs between them, so that everything that is done once falls away. The peer
(peers/fine_tuning.py) runs the frozen part in every epoch, as is usual. Ants and bees, MobileNetV2, the same weights, data,
head, rates and schedule. The last three lines are `ours X`, `peer Y` (seconds an epoch) and `ratio Z` (theirs over ours).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("ENGRAFT_DATA", HERE.parent.parent / "shared/data"))
WEIGHTS = DATA / "weights/mobilenet_v2_1.0_224_quant.torchvision.safetensors"


def json_of(line):
    done = subprocess.run([str(word) for word in line], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def ours(options, data, folder, epochs, seed):
    """Wall seconds and held-out accuracy of a fit."""
    line = [options.engraft, "fit", data, "--base", WEIGHTS, "--depth", options.stage, "--epochs", epochs]
    line += ["--folds", 2, "--seeds", 1, "--control-budget", 0, "--threads", 2, "--seed", seed, "--augment", "none"]
    line += ["--cache", folder / "cache", "--out", folder / "run", "--force", "--json", "--quiet"]
    start = time.perf_counter()
    report = json_of(line)
    return time.perf_counter() - start, report["held_out"][0]["accuracy"]


def peer(options, data, epochs, seed):
    line = [options.peer_python, HERE / "peers/fine_tuning.py", data, WEIGHTS, "--from-block", options.from_block]
    return json_of([*line, "--epochs", epochs, "--seed", seed, *(["--channels-last"] if options.channels_last else [])])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engraft", default="target/release/engraft")
    parser.add_argument("--peer-python", default="python3")
    parser.add_argument("--stage", default="block14", help="engraft's name of the first stage that learns")
    parser.add_argument("--from-block", type=int, default=14, help="the peer's number of it")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--channels-last", action="store_true")
    options = parser.parse_args()
    archive = DATA / "images/hymenoptera.tar"
    if not (archive.is_file() and WEIGHTS.is_file()):
        sys.exit("skipped: no folder of test data (set ENGRAFT_DATA)")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        data = folder / "hymenoptera/hymenoptera_data"
        ours(options, data, folder, 1, 0)
        epochs, more = options.epochs, 3 * options.epochs
        own, theirs, accuracies = [], [], {"ours": [], "peer": []}
        for seed in range(options.runs):
            short, accuracy = ours(options, data, folder, epochs, seed)
            result = peer(options, data, epochs, seed)
            long, _ = ours(options, data, folder, more, seed)
            # Two folds of half of the pictures each, and the model itself: two epochs of all pictures.
            own.append((long - short) / (more - epochs) / 2)
            theirs += result["epoch_seconds"][1:]
            accuracies["ours"].append(accuracy["mean"])
            accuracies["peer"].append(result["accuracy"])
        for name, values in accuracies.items():
            print(f"accuracy, {name}: {', '.join(f'{value:.4f}' for value in values)} (n = {accuracy['n']})")
        own, theirs = statistics.median(own), statistics.median(theirs)
        print(f"ours {own:.3f}\npeer {theirs:.3f}\nratio {theirs / own:.2f}")


if __name__ == "__main__":
    main()
