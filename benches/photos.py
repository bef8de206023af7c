"""Compares `engraft fit` on photos with the same job in PyTorch and scikit-learn, whole commands in turn.

    python3 benches/photos.py --peer-python VENV/bin/python [--runs 3] [--json]

Needs nothing but the standard library and Linux; the peer (benches/peers/photos.py) needs its own packages.
The data is a folder of test data, `../shared/data` or $ENGRAFT_DATA; what it lacks is skipped. See benches/README.md.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
WEIGHTS = "weights/mobilenet_v2_1.0_224_quant.torchvision.safetensors"
# Name: archive, and the folder in it that holds the classes or the splits.
SETS = {
    "hymenoptera": ("images/hymenoptera.tar", "hymenoptera/hymenoptera_data"),
    "flowers": ("images/flowers5_128px.tar.gz", "flowers"),
}
START_UPS = 20


class Failed(Exception):
    """A command that did not do its job."""


def command(line, folder):
    """Runs a command: its JSON, wall seconds, and the peak memory of the largest of its processes in MB."""
    line = [str(word) for word in line]
    with open(folder / "stdout", "w+") as out, open(folder / "stderr", "w+") as err:
        start = time.perf_counter()
        child = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            err.seek(0)
            raise Failed(f"{shlex.join(line)} ended with {child.returncode}:\n{err.read()[-2000:]}")
        out.seek(0)
        text = out.read()
    cpu = usage.ru_utime + usage.ru_stime
    return {"wall": wall, "cpu": cpu, "memory_mb": usage.ru_maxrss / 1024, "text": text}


def measured(line, folder):
    """One run as numbers. Both programs print JSON; engraft's estimates are objects with a mean."""
    result = command(line, folder)
    report = json.loads(result.pop("text"))

    def mean(value):
        return value["mean"] if isinstance(value, dict) else value

    # engraft's audit may leave pictures out, such as copies; the peer takes all.
    accuracy = report["accuracy"]
    result["pictures"] = accuracy["n"] if isinstance(accuracy, dict) else report["pictures"]["train"]
    result["accuracy"] = mean(accuracy)
    result["held_out"] = {held["split"]: mean(held["accuracy"]) for held in report["held_out"]}
    result["seconds"] = report["seconds"]
    return result


def summary(runs):
    """Medians of the runs, and whether their answers were the same."""
    last = runs[-1]
    return {
        "wall": statistics.median(run["wall"] for run in runs),
        "walls": [run["wall"] for run in runs],
        "cpu": statistics.median(run["cpu"] for run in runs),
        "memory_mb": statistics.median(run["memory_mb"] for run in runs),
        "pictures": last["pictures"],
        "accuracy": last["accuracy"],
        "held_out": last["held_out"],
        "repeatable": all(run["accuracy"] == last["accuracy"] and run["held_out"] == last["held_out"] for run in runs),
        "seconds": {phase: statistics.median(run["seconds"][phase] for run in runs) for phase in last["seconds"]},
    }


def unpack(archive, place, inside, per_class):
    """Unpacks a set; with `per_class`, only so many pictures of each class and split."""
    taken = {}

    def wanted(member, path):
        if member.isfile() and per_class:
            folder = str(Path(member.name).parent)
            taken[folder] = taken.get(folder, 0) + 1
            if taken[folder] > per_class:
                return None
        return tarfile.data_filter(member, path)

    with tarfile.open(archive) as tar:
        tar.extractall(place, filter=wanted)
    return place / inside


def compare(args, name, data, weights, temp):
    """The two commands in turn, then engraft from its cache."""
    fit = [args.engraft, "fit", data, "--base", weights, "--out", temp / f"{name}-run", "--depth", "head", "--control-budget", "0"]
    fit += ["--threads", args.threads, "--force", "--json"]
    peer = [args.peer_python, HERE / "peers" / "photos.py", data, "--weights", weights, "--threads", args.threads]
    lines = {"engraft": [*fit, "--no-cache"], "peer": [*peer, *shlex.split(args.peer_options)]}
    runs = {who: [] for who in lines}
    for turn in range(args.runs + 1):
        for who, line in lines.items():
            run = measured(line, temp)
            tell(f"{name}: {who} {'warm-up' if turn == 0 else turn}: {run['wall']:.2f} s")
            if turn > 0:
                runs[who].append(run)
    result = {who: summary(of) for who, of in runs.items()}
    result["ratio"] = result["engraft"]["wall"] / result["peer"]["wall"]

    cached = [*fit, "--cache", temp / f"{name}-cache"]
    first = measured(cached, temp)
    again = [measured(cached, temp) for _ in range(args.runs)]
    result["cached"] = {"first": first["wall"], **summary(again)}
    return result


def start_up(engraft, temp):
    """Median seconds of `engraft --help`."""
    return statistics.median(command([engraft, "--help"], temp)["wall"] for _ in range(START_UPS))


def tell(text):
    print(text, file=sys.stderr, flush=True)


def table(result):
    lines = []
    for name, of in result["sets"].items():
        lines.append(f"{name}, {result['runs']} runs, medians")
        lines.append(f"  {'':22}{'engraft':>10}{'peer':>10}{'ratio':>8}")

        def row(label, key, form, with_ratio=False):
            a, b = key(of["engraft"]), key(of["peer"])
            ratio = f"{a / b:>8.2f}" if with_ratio else ""
            lines.append(f"  {label:22}{a:>10{form}}{b:>10{form}}{ratio}")

        row("wall seconds", lambda run: run["wall"], ".2f", True)
        row("CPU seconds", lambda run: run["cpu"], ".2f", True)
        row("peak memory, MB", lambda run: run["memory_mb"], ".0f", True)
        row("training pictures", lambda run: run["pictures"], "d")
        row("accuracy, out of fold", lambda run: run["accuracy"], ".4f")
        for split in of["engraft"]["held_out"]:
            row(f"accuracy, {split}", lambda run: run["held_out"][split], ".4f")
        for who in ("engraft", "peer"):
            phases = ", ".join(f"{phase} {seconds:.2f}" for phase, seconds in of[who]["seconds"].items())
            walls = ", ".join(f"{wall:.2f}" for wall in of[who]["walls"])
            lines.append(f"  {who}: {walls} s; of which {phases}")
            if not of[who]["repeatable"]:
                lines.append(f"  {who}: the accuracy differs between runs")
        lines.append(f"  engraft from its cache {of['cached']['wall']:.2f} s, filling it {of['cached']['first']:.2f} s")
        lines.append("")
    lines.append(f"start-up of engraft      {1000 * result['start_up']:.1f} ms, median of {START_UPS}")
    lines.append(f"size of engraft          {result['binary_mb']:.1f} MB")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engraft", type=Path, default=Path("target/release/engraft"))
    parser.add_argument("--peer-python", default="python3", help="a Python that has the peer's packages")
    parser.add_argument(
        "--peer-options",
        default="--workers 2 --channels-last --fuse",
        help="options of peers/photos.py; give them as --peer-options='...' [default: %(default)s]",
    )
    parser.add_argument("--data-root", type=Path, default=Path(os.environ.get("ENGRAFT_DATA", "../shared/data")))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--runs", type=int, default=3, help="counted runs of each, after one that does not count")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--per-class", type=int, default=0, metavar="N", help="only so many pictures, for a quick try")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    args = parser.parse_args()
    if args.runs < 1:
        parser.error("--runs is at least 1")
    if not args.engraft.is_file():
        sys.exit(f"{args.engraft} is missing: cargo build --release, or give --engraft")
    args.engraft = args.engraft.resolve()
    weights = (args.data_root / WEIGHTS).resolve()
    if not weights.is_file():
        print(f"skipped: no {WEIGHTS} in {args.data_root} (give --data-root or set ENGRAFT_DATA)")
        return
    # Both commands on the same cores, since not everything in the peer obeys a number of threads.
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[: args.threads])

    result = {"runs": args.runs, "threads": args.threads, "peer_options": args.peer_options, "sets": {}}
    with tempfile.TemporaryDirectory(prefix="engraft-bench-") as folder:
        temp = Path(folder)
        result["start_up"] = start_up(args.engraft, temp)
        result["binary_mb"] = args.engraft.stat().st_size / 1e6
        for name in args.sets:
            archive, inside = SETS[name]
            if not (args.data_root / archive).is_file():
                tell(f"{name} skipped: no {archive} in {args.data_root}")
                continue
            data = unpack(args.data_root / archive, temp / name, inside, args.per_class)
            try:
                result["sets"][name] = compare(args, name, data, weights, temp)
            except Failed as problem:
                sys.exit(f"{name}: {problem}")
    print(json.dumps(result, indent=1) if args.json else table(result))


if __name__ == "__main__":
    main()
