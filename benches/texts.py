"""Accuracy of `engraft fit` on texts beside its peers', on the same tables.

    python3 benches/texts.py splits --out SPLITS
    python3 benches/texts.py run --splits SPLITS --results ours.jsonl --base MINILM
    peer/bin/python benches/peers/texts.py --splits SPLITS --results peers.jsonl --model MINILM
    python3 benches/texts.py table ours.jsonl peers.jsonl

Needs nothing but the standard library; the peers need their own packages. The data is a folder of test data, `../shared/data`
or $ENGRAFT_DATA; a set that it lacks is skipped. Both journals can be gone on with: what is in them is not run again.
"""

import argparse
import json
import math
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import text_sets
from text_cells import Failed, OutOfTime, add_options, cells, journal, rows, run_all
from text_sets import SIZES, SOURCES

HERE = Path(__file__).resolve().parent
# Which sizes a depth is worth running at: contrastive training is for few examples, the others for more.
DEPTHS = {
    "head": SIZES,
    "contrastive": ("8", "64"),
    "last": ("64", "all"),
    "all": ("64", "all"),
    "auto": SIZES,
    "scratch": SIZES,
}
PEERS = ("tfidf", "probe", "setfit", "finetune", "finetune_long")
# The same work on both sides.
PAIRS = {
    "frozen encoder, a head": (["engraft head"], ["probe"]),
    "contrastive, a head": (["engraft contrastive"], ["setfit"]),
    "every layer trained": (["engraft all"], ["finetune", "finetune_long"]),
}


def splits(options):
    """Makes the tables."""
    data = options.data_root / "text"
    if not data.is_dir():
        sys.exit(f"skipped: no folder of test data with text/ at {options.data_root} (set ENGRAFT_DATA)")
    print("| set | classes | to learn from | smallest class | measured on | words |\n|---|---:|---:|---:|---:|---:|")
    for name in options.sets:
        try:
            print(text_sets.make(name, data, options.out, options.seeds), flush=True)
        except FileNotFoundError as missing:
            print(f"{name}: skipped, {missing.filename} is not there", file=sys.stderr)


def fit(options, cell, folder):
    """The held-out accuracy of one `engraft fit`."""
    line = [options.engraft, "fit", cell.path, "--text", "text", "--label", "label", "--base", options.base]
    depth = cell.method.split()[-1]
    # The control from scratch is part of a fit: it answers the training part out of fold, and no test part.
    scratch = depth == "scratch"
    line += ["--depth", "head" if scratch else depth, "--seed", cell.seed, "--threads", options.threads]
    line += [] if scratch else ["--control-budget", "0"]
    line += ["--out", folder / "run", "--force", "--cache", folder / "cache", "--quiet", *shlex.split(options.options)]
    line = [str(word) for word in line]
    with open(folder / "stderr", "w+") as err:
        child = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err)
        try:
            status = child.wait()
        except OutOfTime:
            child.kill()
            child.wait()
            raise
        err.seek(0)
        if status != 0:
            raise Failed(f"{shlex.join(line)} ended with {status}: {err.read()[-1500:]}")
    report = json.loads((folder / "run/report.json").read_text())
    if scratch:
        accuracy = report["controls"]["scratch"]["accuracy"]
    else:
        accuracy = next(held for held in report["held_out"] if held["split"] == "test")["accuracy"]
    return {
        "accuracy": accuracy["mean"],
        "test": accuracy.get("n", len(rows(cell.path)["test"][0])),
        "train": report["data"]["train"],
        "depth": report["choice"]["depth"],
        "base": report["base"]["id"],
        "options": options.options,
        "memory_mb": report["peak_memory_mb"],
    }


def run(options):
    """Runs engraft on the tables."""
    options.methods = [f"{options.name} {depth}" for depth in options.methods]
    asked = cells(options, {f"{options.name} {depth}": sizes for depth, sizes in DEPTHS.items()})
    with tempfile.TemporaryDirectory(prefix="engraft-texts-") as temporary:
        folder = Path(temporary)
        run_all(options, asked, lambda cell: fit(options, cell, folder))


def measured(paths):
    """{(set, size): {method: {seed: line}}}; a later line of a cell replaces an earlier one."""
    found = defaultdict(lambda: defaultdict(dict))
    for path in paths:
        for line in journal(path):
            if line["status"] == "ok":
                found[line["set"], line["size"]][line["method"]][line["seed"]] = line
    return found


def accuracies(seeds):
    return [100 * seeds[seed]["accuracy"] for seed in sorted(seeds)]


def spread(values, usual):
    """Mean and standard deviation; the number of seeds where it is not the usual one."""
    deviation = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{deviation}" + (f" ({len(values)})" if len(values) != usual else "")


def table_of(size, found, usual):
    """Every method at one size; the best mean is bold."""
    here = {name: found[name, size] for name in SOURCES if (name, size) in found}
    seen = {method for methods in here.values() for method in methods}
    usual_order = [*(f"engraft {depth}" for depth in DEPTHS), *PEERS]
    order = [*sorted(seen - set(usual_order)), *(method for method in usual_order if method in seen)]
    lines = [f"| set | n | {' | '.join(order)} |", "|---|---:" + "|---:" * len(order) + "|"]
    for name, methods in here.items():
        best = max(statistics.mean(accuracies(seeds)) for seeds in methods.values())
        shown = []
        for method in order:
            values = accuracies(methods[method]) if method in methods else []
            cell = spread(values, usual) if values else ""
            shown.append(f"**{cell}**" if values and statistics.mean(values) == best else cell)
        counts = sorted({line["test"] for seeds in methods.values() for line in seeds.values()})
        lines.append(f"| {name} | {' / '.join(map(str, counts))} | {' | '.join(shown)} |")
    return lines


def winner(differences, test):
    """Who is ahead: by more than two standard errors over the seeds, and by more than four texts of the test part."""
    mean = statistics.mean(differences)
    error = statistics.stdev(differences) / math.sqrt(len(differences)) if len(differences) > 1 else 0.0
    if abs(mean) <= max(2 * error, 400 / test):
        return "even"
    return "engraft" if mean > 0 else "peer"


def pairs(found):
    """The same work on both sides, paired by seed."""
    lines = ["| work | set | size | engraft | peer | difference | ahead |", "|---|---|---|---:|---:|---:|---|"]
    tally = defaultdict(lambda: defaultdict(int))
    for work, (ours, theirs) in PAIRS.items():
        for size in SIZES:
            for name in SOURCES:
                methods = found.get((name, size), {})
                for our, their in ((our, their) for our in ours for their in theirs):
                    common = sorted(set(methods.get(our, {})) & set(methods.get(their, {})))
                    if not common:
                        continue
                    a, b = ([100 * methods[who][seed]["accuracy"] for seed in common] for who in (our, their))
                    differences = [x - y for x, y in zip(a, b)]
                    who = winner(differences, min(methods[our][seed]["test"] for seed in common))
                    tally[f"{our} against {their}"][who] += 1
                    numbers = f"{statistics.mean(a):.1f} | {statistics.mean(b):.1f} | {spread(differences, len(common))}"
                    lines.append(f"| {work} ({their}) | {name} | {size} | {numbers} | {who} |")
    counts = [f"- {pair}: " + ", ".join(f"{who} {n}" for who, n in sorted(of.items())) for pair, of in tally.items()]
    return [*lines, "", *counts] if counts else []


def show(options):
    """Prints the tables."""
    found = measured(options.journals)
    usual = options.seeds
    for size in SIZES:
        if any(key[1] == size for key in found):
            title = "All training texts" if size == "all" else f"{size} texts a class"
            print(f"\n### {title}\n\n" + "\n".join(table_of(size, found, usual)))
    lines = pairs(found)
    if lines:
        print("\n### Like with like\n\n" + "\n".join(lines))
    troubles = [line for path in options.journals for line in journal(path) if line["status"] != "ok"]
    for line in troubles:
        if line["seed"] not in found[line["set"], line["size"]].get(line["method"], {}):
            print(f"{line['set']} {line['size']} {line['seed']} {line['method']}: {line['status']}", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("splits", help=splits.__doc__)
    command.add_argument("--out", type=Path, required=True)
    command.add_argument("--sets", nargs="+", choices=SOURCES, default=list(SOURCES))
    command.add_argument("--seeds", type=int, default=5)
    data = Path(os.environ.get("ENGRAFT_DATA", HERE.parent.parent / "shared/data"))
    command.add_argument("--data-root", type=Path, default=data)
    command.set_defaults(run=splits)
    command = commands.add_parser("run", help=run.__doc__)
    add_options(command, DEPTHS)
    command.add_argument("--engraft", default="target/release/engraft")
    command.add_argument("--base", default=os.environ.get("ENGRAFT_MINILM"), help="[default: $ENGRAFT_MINILM]")
    command.add_argument("--name", default="engraft", help="what the methods are called by, before the depth")
    command.add_argument("--options", default="", help="more flags of engraft fit; give them as --options='...'")
    command.set_defaults(run=run)
    command = commands.add_parser("table", help=show.__doc__)
    command.add_argument("journals", nargs="+", type=Path)
    command.add_argument("--seeds", type=int, default=5, help="a cell with another number of seeds says so")
    command.set_defaults(run=show)
    options = parser.parse_args()
    if options.run is run and not options.base:
        parser.error("--base is missing, and so is $ENGRAFT_MINILM")
    options.run(options)


if __name__ == "__main__":
    main()
