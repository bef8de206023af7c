"""Domain adaptation on real pairs of domains: the tables of docs/adaptation.md.

    python3 benches/adaptation.py run   --base IMAGES --text-base TEXTS --out results.jsonl   # one line for each adaptation
    python3 benches/adaptation.py check ...                                                   # 30 labels, over many draws
    python3 benches/adaptation.py tables results.jsonl                                        # prints the tables
    PEER/bin/python benches/adaptation.py peers --base IMAGES --text-base TEXTS               # beside skada

Each line is one run of the real program; the target's labels are sealed in it, and opened at its end. A line that is there is not made again.
`--pairs`, `--kinds`, `--half`, `--draws`, `--shares` choose; `--engraft PROGRAM` is target/release/engraft. The data is a folder of test data,
`../shared/data` or $ENGRAFT_DATA. Needs NumPy, SciPy and Pillow; PEER has skada and scikit-learn too.
"""

import argparse
import collections
import csv
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import adaptation_tasks
from adaptation_tasks import PAIRS

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("ENGRAFT_DATA", HERE.parent.parent / "shared/data"))
SHARES = ("as they are", "same", "skewed-0", "skewed-1")


def base_of(options, pair):
    return {"text": options.text_base, "path": options.base}.get(pair.header, "none")


def command(options, pair, source, target, *flags):
    column = [] if pair.header != "text" else ["--text", "text"]
    return [
        options.engraft, "adapt", source, "--to", target, "--base", base_of(options, pair), "--label-column", "class", "--task", "single-label",
        *column, "--control-budget", "0", "--cache", options.work / "cache", "--quiet", *flags,
    ]  # fmt: skip


def ran(line):
    done = subprocess.run(list(map(str, line)), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, line))}\n{done.stderr[-2000:]}")
    return done.stdout


def chosen(options):
    for pair in PAIRS:
        named = not options.pairs or pair.name in options.pairs
        if named and (not options.kinds or pair.kind in options.kinds) and (not options.half or pair.half == options.half):
            yield pair


def draws(options):
    """Every pair, draw and shares that are asked for, with the tables."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "source.csv"), Path(folder, "target.csv")
        for pair in chosen(options):
            for number in range(options.draws):
                for how in options.shares:
                    drawn = adaptation_tasks.drawn(pair, number, how, DATA, options.work)
                    if drawn:
                        adaptation_tasks.table(pair, drawn[0], source)
                        adaptation_tasks.table(pair, drawn[1], target)
                        yield pair, number, how, source, target, drawn


def run(options):
    done = set()
    if options.out.exists():
        lines = map(json.loads, options.out.open())
        done = {(line["pair"], line["draw"], line["shares"], line["told"]) for line in lines}
    with options.out.open("a") as out:
        for pair, number, how, source, target, drawn in draws(options):
            # What a user may know of shares that are the same; nothing of others.
            for told in ("same",) if how == "same" else ("ask",):
                if (pair.name, number, how, told) in done:
                    continue
                with tempfile.TemporaryDirectory() as folder:
                    begun = time.time()
                    flags = ["--shares", told, "--method", options.method, "--seed", number, "--json", "--out", Path(folder, "run")]
                    report = json.loads(ran(command(options, pair, source, target, *flags)))
                line = {
                    "pair": pair.name, "kind": pair.kind, "half": pair.half, "draw": number, "shares": how, "told": told,
                    "truth": adaptation_tasks.shares_of(drawn[1]), "seconds": time.time() - begun, "adaptation": report["adaptation"],
                }  # fmt: skip
                out.write(json.dumps(line) + "\n")
                out.flush()


def check(options):
    """Labels of the truth for 30 examples: how often the better model is taken."""
    with options.out.open("a") as out:
        for pair, number, how, source, target, drawn in draws(options):
            with tempfile.TemporaryDirectory() as folder:
                asked, answered = Path(folder, "check.csv"), Path(folder, "answered.csv")
                seed = ["--seed", number]
                try:
                    ran(command(options, pair, source, target, *seed, "--check", options.count, "--out", asked))
                except RuntimeError as error:
                    if "nothing to check" in str(error):
                        continue
                    raise
                rows = list(csv.DictReader(asked.open(newline="")))
                for row in rows:
                    row["label"] = drawn[1][int(row["example"].removeprefix("row ")) - 1].label
                with answered.open("w", newline="") as file:
                    table = csv.DictWriter(file, rows[0])
                    table.writeheader()
                    table.writerows(rows)
                line = command(options, pair, source, target, *seed, "--checked", answered, "--json", "--out", Path(folder, "run"))
                report = json.loads(ran(line))
            told = {"pair": pair.name, "half": pair.half, "draw": number, "shares": how, "adaptation": report["adaptation"]}
            out.write(json.dumps(told) + "\n")
            out.flush()


def accuracy(line, name, balanced=False):
    method = next((method for method in line["adaptation"]["measured"]["methods"] if method["name"] == name), None)
    return method and 100 * method["balanced_accuracy" if balanced else "accuracy"]


def mean(values):
    values = [value for value in values if value is not None]
    return statistics.mean(values) if values else None


def shown(value, sign=False):
    return "–" if value is None else f"{value:+.1f}" if sign else f"{value:.1f}"


def tables(options):
    lines = [json.loads(line) for line in options.out.open()]
    names = []
    for line in lines:
        names += [method["name"] for method in line["adaptation"]["methods"] if method["name"] not in names]
    for how, told in (("as they are", "ask"), ("same", "ask"), ("same", "same"), ("skewed-0", "ask"), ("skewed-1", "ask")):
        of = [line for line in lines if line["shares"] == how and line["told"] == told]
        if not of:
            continue
        print(f"\n## Target shares {how}, `--shares {told}`\n")
        print("| pair | half | " + " | ".join(names) + " | answers | gain | adapted | labels of its own |")
        print("|---|---|" + "---:|" * (len(names) + 4))
        groups = collections.defaultdict(list)
        for line in of:
            groups[line["kind"], line["pair"], line["half"]].append(line)
        for (_, pair, half), group in sorted(groups.items()):
            measured = [line["adaptation"]["measured"] for line in group]
            taken = [100 * it["adapted"]["mean"] for it in measured]
            own = [100 * it["source_only"]["mean"] for it in measured]
            oracle = mean([it.get("oracle") and 100 * it["oracle"]["mean"] for it in measured])
            cells = [shown(mean([accuracy(line, name) for line in group])) for name in names]
            adapted = sum(line["adaptation"]["adapted"] for line in group)
            gain = statistics.mean(a - b for a, b in zip(taken, own))
            print(f"| {pair} | {half} | {' | '.join(cells)} | {shown(mean(taken))} | {gain:+.1f} | {adapted}/{len(group)} | {shown(oracle)} |")
        for half in ("set", "check"):
            gains = [
                statistics.mean(100 * (line["adaptation"]["measured"]["adapted"]["mean"] - line["adaptation"]["measured"]["source_only"]["mean"]) for line in group)
                for (_, _, of_half), group in groups.items()
                if of_half == half
            ]
            if gains:
                print(f"\n{half}: mean gain {statistics.mean(gains):+.2f}, worst row {min(gains):+.2f}, rows {len(gains)}")
    covered = collections.Counter()
    for line in lines:
        for share in line["adaptation"]["shares"]:
            truth = line["truth"].get(share["class"], 0.0)
            covered[line["shares"], share["low"] <= truth <= share["high"]] += 1
    for how in SHARES:
        held, missed = covered[how, True], covered[how, False]
        if held + missed:
            print(f"share intervals, {how}: {held} of {held + missed} hold the truth")


def arguments(doc, modes, work, count):
    """What is asked of every benchmark on these pairs."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=modes)
    parser.add_argument("results", nargs="?", type=Path)
    parser.add_argument("--engraft", default=HERE.parent / "target/release/engraft", type=Path)
    parser.add_argument("--base")
    parser.add_argument("--text-base")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir(), work))
    parser.add_argument("--pairs", nargs="*")
    parser.add_argument("--kinds", nargs="*")
    parser.add_argument("--half", choices=("set", "check"))
    parser.add_argument("--draws", type=int, default=count)
    return parser


def parsed(parser):
    options = parser.parse_args()
    options.out = options.out or options.results
    options.work.mkdir(parents=True, exist_ok=True)
    return options


def main():
    parser = arguments(__doc__, ("run", "check", "tables", "peers"), "engraft-adaptation", 5)
    parser.add_argument("--shares", nargs="*", default=SHARES)
    parser.add_argument("--method", default="auto")
    parser.add_argument("--count", type=int, default=30)
    options = parsed(parser)
    if options.mode == "peers":
        from peers import adaptation

        options.command, options.ran = command, ran
        adaptation.run(options, chosen(options), DATA)
    else:
        {"run": run, "check": check, "tables": tables}[options.mode](options)


if __name__ == "__main__":
    main()
