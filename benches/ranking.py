"""How good a choice `engraft rank` makes: the tables of docs/similarity.md.

    cargo build --release
    python3 benches/ranking.py run --out results.jsonl [--text-base all-MiniLM-L6-v2 glove.txt]
    python3 benches/ranking.py tables results.jsonl

Every set is ranked whole (500 examples at most), which tells what each base is worth on it, and then in draws of 60 and 200 labelled examples. The
regret of a choice is what the base chosen is worse than the best one by on the whole set, in points of the probe's accuracy out of fold. The
static order is that of published accuracies on ImageNet. Sets and draws are those of `decision_tasks.py`; the data is a folder of test data,
`../shared/data` or $ENGRAFT_DATA. Features are kept in --work, so that a draw costs a second or two.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import decision_tasks
from text_sets import drawn

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("ENGRAFT_DATA", HERE.parent.parent / "shared/data"))
# Published top-1 accuracies on ImageNet, in per cent; nothing for bases of other data.
BASES = {
    "mobilenet_v2_1.0_224_quant.torchvision.safetensors": 70.1,
    "squeezenet1_0_torchvision.pth": 57.5,
    "squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5": 57.1,
    "tiny_darknet.safetensors": 58.7,
    "vww_96.h5": 0,
    "pretrainedResnet.h5": 0,
    "resnet20-12fca82f.th": 0,
    "resnet32-d509ac18.th": 0,
    "glyphs": 0,
}
SCORES = ("logme", "h-score", "parc", "leep")
WHOLE = 500
SIZES = (60, 200)


def ranked(options, table, bases, *flags):
    begun = time.time()
    line = [options.engraft, "rank", table, "--bases", *bases, "--budget", "1h", "--cache", options.work / "cache", "--json", "--quiet", *flags]
    done = subprocess.run(list(map(str, line)), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, line))}\n{done.stderr[-2000:]}")
    return {**json.loads(done.stdout), "wall": time.time() - begun}


def run(options):
    done = set()
    if options.out.exists():
        done = {(it["task"], it["size"], it["draw"]) for it in map(json.loads, options.out.open())}
    with options.out.open("a") as out, tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "table.csv")
        for task in decision_tasks.TASKS:
            images = task.kind == "images"
            weights = DATA / "weights"
            bases = [str(weights / name) if name != "glyphs" else name for name in BASES] if images else [*options.text_base, "tfidf"]
            if len(bases) < 2 or (options.tasks and task.name not in options.tasks):
                continue
            examples = drawn(decision_tasks.pool(task, DATA, options.work), "whole")[:WHOLE]
            for size in (WHOLE, *SIZES):
                for draw in range(1 if size == WHOLE else options.draws):
                    if (task.name, size, draw) in done:
                        continue
                    train = examples if size == WHOLE else decision_tasks.draw(task, examples, str(size), draw)[0]
                    decision_tasks.table(task, train, [], table)
                    flags = ["--label-column", "label", *([] if images else ["--text", "text"])]
                    found = {"probe": ranked(options, table, bases, *flags)}
                    for by in SCORES if size != WHOLE and images else ():
                        found[by] = ranked(options, table, bases, *flags, "--by", by)
                    line = {"task": task.name, "kind": task.kind, "half": task.half, "size": size, "draw": draw, "found": found}
                    out.write(json.dumps(line) + "\n")
                    out.flush()


def choices(line):
    """The base that each way of choosing takes."""
    probe = line["found"]["probe"]
    bases = probe["bases"]
    taken = {"recommended": probe["recommended"], "best probe": bases[0]["base"], "logme": max(bases, key=lambda it: it["evidence"])["base"]}
    for by, found in line["found"].items():
        if by not in ("probe", "logme"):
            taken[by] = found["recommended"]
    if line["kind"] == "images":
        taken["static"] = max((it["base"] for it in bases), key=lambda base: BASES[Path(base).name])
    return taken


def tables(options):
    lines = [json.loads(line) for line in options.out.open()]
    worth = {it["task"]: {base["base"]: 100 * base["probe"]["mean"] for base in it["found"]["probe"]["bases"]} for it in lines if it["size"] == WHOLE}
    print("| set | half | " + " | ".join(name.split(".")[0][:24] for name in BASES) + " | pixels |")
    print("|---|---|" + "---:|" * (len(BASES) + 1))
    for it in lines:
        if it["size"] == WHOLE and it["kind"] == "images":
            of = {Path(base).name: value for base, value in worth[it["task"]].items()}
            pixels = next((100 * other["mean"] for other in it["found"]["probe"]["without_base"] if other["name"] == "pixels"), float("nan"))
            print(f"| {it['task']} | {it['half']} | " + " | ".join(f"{of[name]:.1f}" for name in BASES) + f" | {pixels:.1f} |")
    regrets, seconds = defaultdict(list), defaultdict(list)
    for it in lines:
        if it["size"] == WHOLE:
            continue
        seconds[it["kind"], it["size"]].append(it["found"]["probe"]["wall"])
        for way, base in choices(it).items():
            of = worth[it["task"]]
            regrets[it["kind"], it["half"], it["size"], way].append((it["task"], max(of.values()) - of[base]))
    print("\n| kind | half | labelled | chosen by | mean regret | largest | draws |\n|---|---|---:|---|---:|---:|---:|")
    for (kind, half, size, way), found in sorted(regrets.items()):
        values = [value for _, value in found]
        print(f"| {kind} | {half} | {size} | {way} | {statistics.mean(values):.2f} | {max(values):.1f} | {len(values)} |")
    for (kind, size), found in sorted(seconds.items()):
        print(f"\n{kind}, {size}: {statistics.median(found):.1f} s a ranking from the cache")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("run", "tables"))
    parser.add_argument("results", nargs="?", type=Path)
    parser.add_argument("--engraft", default=HERE.parent / "target/release/engraft", type=Path)
    parser.add_argument("--text-base", nargs="*", default=[])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir(), "engraft-ranking"))
    parser.add_argument("--tasks", nargs="*")
    parser.add_argument("--draws", type=int, default=5)
    options = parser.parse_args()
    options.out = options.out or options.results
    options.work.mkdir(parents=True, exist_ok=True)
    {"run": run, "tables": tables}[options.mode](options)


if __name__ == "__main__":
    main()
