"""What `engraft compare` says of real pairs of data sets: the tables of docs/similarity.md.

    cargo build --release
    python3 benches/comparing.py run --base IMAGES --text-base TEXTS --out results.jsonl
    python3 benches/comparing.py tables results.jsonl

Of every pair of domains of `adaptation_tasks.py`: the two as they are; two random halves of the first, where nothing differs; the halves with a quarter
of all classes but one in the second, where nothing but the shares does; and the second half of the first with 5 % of its examples taken from the other domain, which the farthest examples
should be. `--engraft PROGRAM` is target/release/engraft. The data is a folder of test data, `../shared/data` or $ENGRAFT_DATA.
Needs NumPy, SciPy and Pillow.
"""

import json
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

import adaptation
import adaptation_tasks

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("ENGRAFT_DATA", HERE.parent.parent / "shared/data"))
PLANTED = 0.05
SHOWN = 24


def compared(options, pair, a, b, seed):
    column = [] if pair.header != "text" else ["--text", "text"]
    begun = time.time()
    line = [
        options.engraft, "--json", "--quiet", "compare", a, b, "--base", adaptation.base_of(options, pair), "--label-column", "class", *column,
        "--seed", seed, "--cache", options.work / "cache",
    ]  # fmt: skip
    return {**json.loads(adaptation.ran(line)), "wall": time.time() - begun}


def cases(options, pair, number, source, target):
    """What is compared: its name, A, B, and the rows of B that are foreign."""
    yield "as they are", source, target, ()
    stream = random.Random(number)
    order = stream.sample(source, len(source))
    first, second = order[: len(order) // 2], order[len(order) // 2 :]
    yield "halves", first, second, ()
    # Of all classes but the first one in four: nothing but the shares differs.
    rare = sorted({example.label for example in second})[1:]
    kept = {name: [example for example in second if example.label == name] for name in rare}
    few = [example for of_class in kept.values() for example in of_class[: max(1, len(of_class) // 4)]]
    yield "other shares", first, [example for example in second if example.label not in rare] + few, ()
    count = max(1, min(SHOWN, round(PLANTED * len(second))))
    foreign = stream.sample(target, min(count, len(target)))
    mixed = second[len(foreign) :] + foreign
    yield "planted", first, mixed, tuple(range(len(mixed) - len(foreign) + 1, len(mixed) + 1))


def run(options):
    done = set()
    if options.out.exists():
        done = {(it["pair"], it["draw"], it["case"]) for it in map(json.loads, options.out.open())}
    with options.out.open("a") as out, tempfile.TemporaryDirectory() as folder:
        a, b = Path(folder, "a.csv"), Path(folder, "b.csv")
        for pair in adaptation.chosen(options):
            for number in range(options.draws):
                drawn = adaptation_tasks.drawn(pair, number, "as they are", DATA, options.work)
                if not drawn:
                    continue
                for case, source, target, foreign in cases(options, pair, number, *drawn):
                    if (pair.name, number, case) in done:
                        continue
                    adaptation_tasks.table(pair, source, a)
                    adaptation_tasks.table(pair, target, b)
                    found = compared(options, pair, a, b, number)
                    # Images are called by their files, which both domains have, in folders of their own.
                    files = {"/".join(Path(example.text).parts[-3:]): at for at, example in enumerate(target, 1)} if pair.header == "path" else {}
                    row = lambda name: files.get("/".join(Path(name).parts[-3:])) or int((name.rsplit("row ", 1) + ["0"])[1])
                    named = {how: {row(it["example"]) for it in found[how][: len(foreign)]} for how in ("farthest_b", "surest_b")}
                    keep = ("differs", "distance", "shares", "at_equal_shares", "duplicates", "unlike_a", "unlike_b", "wall", "a", "b")
                    line = {"pair": pair.name, "kind": pair.kind, "draw": number, "case": case, **{key: found.get(key) for key in keep}}
                    if foreign:
                        line["planted"] = {"count": len(foreign), "of": len(target), **{how: len(rows & set(foreign)) for how, rows in named.items()}}
                    out.write(json.dumps(line) + "\n")
                    out.flush()


def tables(options):
    lines = [json.loads(line) for line in options.out.open()]
    pairs = list(dict.fromkeys(line["pair"] for line in lines))
    of = lambda pair, case: [line for line in lines if line["pair"] == pair and line["case"] == case]
    mean = lambda each: statistics.mean(each) if each else float("nan")
    print("| pair | told apart (floor) | A-distance (floor) | MMD² (floor) | Fréchet (floors) | weights leave | B unlike A (halves) | differs | halves: p ≤ .05 | planted: farthest, surest | s |")
    print("|---|---:|---:|---:|---:|---:|---:|---|---:|---:|---:|")
    for pair in pairs:
        whole = of(pair, "as they are")
        get = lambda key: mean([line["distance"][key] for line in whole])
        floors = [mean([line["distance"]["frechet_floors"][side] for line in whole]) for side in (0, 1)]
        halves, planted = of(pair, "halves"), of(pair, "planted")
        small = sum(line["distance"]["p"] <= 0.05 for line in halves)
        total = lambda key: sum(line["planted"][key] for line in planted)
        unlike = [100 * mean([line[key] for line in each]) for each, key in ((whole, "unlike_b"), (halves, "unlike_b"))]
        share = mean([line["planted"]["count"] / line["planted"]["of"] for line in planted])
        differs = ", ".join(dict.fromkeys(line["differs"] for line in whole))
        print(
            f"| {pair} | {100 * get('accuracy'):.1f} ({100 * get('accuracy_floor'):.1f}) | {get('proxy_a_distance'):.2f} ({get('proxy_a_distance_floor'):.2f}) "
            f"| {get('mmd2'):.4f} ({get('mmd2_floor'):.4f}) | {get('frechet'):.3g} ({floors[0]:.3g}, {floors[1]:.3g}) | {100 * get('effective_sample'):.0f} % "
            f"| {unlike[0]:.0f} % ({unlike[1]:.0f}) | {differs} | {small}/{len(halves)} | {total('farthest_b')}, {total('surest_b')} of {total('count')} ({100 * share:.0f} %) | {mean([line['wall'] for line in whole]):.1f} |"
        )
    for case in ("other shares", "halves"):
        counts = {}
        for line in lines:
            if line["case"] == case:
                counts[line["differs"]] = counts.get(line["differs"], 0) + 1
        print(f"\n{case}: {counts}")


def main():
    options = adaptation.parsed(adaptation.arguments(__doc__, ("run", "tables"), "engraft-comparing", 3))
    {"run": run, "tables": tables}[options.mode](options)


if __name__ == "__main__":
    main()
