"""Whether decisions and numbers hold on new data: the tables of docs/decisions.md.

    python3 benches/decisions.py numbers  --base IMAGES --text-base TEXTS --out results.jsonl   # intervals, "unsure", "unlike", one head a draw
    python3 benches/decisions.py depths   ...                                                   # regret of `auto` against every fixed depth
    python3 benches/decisions.py labels   ...                                                   # planted label errors
    python3 benches/decisions.py unlike   ...                                                   # other data than a model was trained on
    python3 benches/decisions.py forecasts ...                                                  # gains foretold, and those that came
    python3 benches/decisions.py tables results.jsonl                                           # prints the tables

Each line of the results is one fit of the real program to one draw, measured on all that was not drawn (1,500 at most). A line that is there
is not made again. `--tasks`, `--sizes`, `--draws`, `--half` choose; `--engraft PROGRAM` is target/release/engraft. The data is a folder of test
data, `../shared/data` or $ENGRAFT_DATA; cells need Pillow, usps needs SciPy.
"""

import argparse
import collections
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import decision_tasks
from decision_tasks import TASKS

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("ENGRAFT_DATA", HERE.parent.parent / "shared/data"))
DEPTHS = {"images": ("head", "last", "half", "all"), "texts": ("head", "last", "half", "all", "contrastive")}
ESTIMATES = ("accuracy", "macro_f1", "log_loss", "brier", "ece")


def environment(options):
    return {**os.environ, "ENGRAFT_CACHE": str(options.work / "cache")}


def fit(options, task, table, flags, out):
    """One fit; the report."""
    base = options.base if task.kind == "images" else options.text_base
    command = [options.engraft, "fit", table, "--base", base, "--out", out, "--force", "--control-budget", "0", *task.flags, *flags]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(options))
    if done.returncode != 0:
        raise RuntimeError(f"{task.name}: {' '.join(map(str, command))}\n{done.stderr[-2000:]}")
    return json.loads((Path(out) / "report.json").read_text())


def estimates(block):
    return {name: [block[name].get(key) for key in ("mean", "low", "high", "n")] for name in ESTIMATES if block.get(name)}


def facts(report):
    """What a line has of a report."""
    held = next(split for split in report["held_out"] if split["split"] == "test")
    tried = {each["depth"]: each["score"]["mean"] for each in report["choice"]["tried"]}
    return {
        "depth": report["choice"]["depth"],
        "tried": tried,
        "ours": estimates(report),
        "test": estimates(held),
        "unsure": report.get("unsure"),
        "unsure_test": held.get("unsure"),
        "unlike_test": held.get("unlike"),
        "label_errors": len(report.get("label_errors") or []),
        "forecasts": report.get("forecasts"),
        "seconds": report["seconds"]["total"],
    }


def draws(options):
    """Every task, size and draw that is asked for, with its train and test part."""
    for task in TASKS:
        if options.tasks and task.name not in options.tasks or options.half and task.half != options.half:
            continue
        if task.kind not in options.kinds:
            continue
        examples = decision_tasks.pool(task, DATA, options.work)
        for size in options.sizes:
            for seed in range(options.first, options.first + options.draws):
                train, test = decision_tasks.draw(task, examples, size, seed)
                yield task, size, seed, train, test


def head(options, task, seed, train, test, folder):
    """The report of a head on a draw."""
    decision_tasks.table(task, train, test, folder / "draw.csv")
    return fit(options, task, folder / "draw.csv", ["--depth", "head", "--seed", str(seed), *options.flags], folder / "run")


def numbers(options, task, _size, seed, train, test, folder):
    yield "head", facts(head(options, task, seed, train, test, folder))


def depths(options, task, _size, seed, train, test, folder):
    decision_tasks.table(task, train, test, folder / "draw.csv")
    for depth in options.depths or ("auto", *DEPTHS[task.kind]):
        fixed = [] if depth == "auto" else ["--folds", "2", "--seeds", "1"]
        flags = ["--depth", depth, "--seed", str(seed), *fixed, *options.flags]
        yield depth, facts(fit(options, task, folder / "draw.csv", flags, folder / "run"))


def labels(options, task, size, seed, train, test, folder):
    """One label in twenty is replaced by another class's. Images only: texts are named by their rows."""
    if task.kind != "images":
        return
    names = sorted({example.label for example in train})
    stream = random.Random(f"{task.name} {size} {seed}")
    wrong = set(stream.sample(range(len(train)), round(options.planted * len(train))))
    other = lambda label: stream.choice([name for name in names if name != label])
    planted = [replace(example, label=other(example.label)) if at in wrong else example for at, example in enumerate(train)]
    report = head(options, task, seed, planted, test, folder)
    places = {os.path.abspath(example.text): at for at, example in enumerate(train)}
    hits = [places[each["file"]] in wrong for each in report["label_errors"]]
    yield "labels", {"planted": len(wrong), "n": len(train), "hits": hits}


def unlike(options, task, _size, seed, train, test, folder):
    """Answers to examples of every other set of images."""
    report = head(options, task, seed, train, test, folder)
    shares = {"own": facts(report)["unlike_test"]}
    for other in TASKS:
        if other.kind != "images" or task.kind != "images" or other.make is task.make:
            continue
        examples = decision_tasks.drawn(decision_tasks.pool(other, DATA, options.work), "unlike")[:200]
        command = [options.engraft, "predict", folder / "run", *[example.text for example in examples], "--json"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(options), check=True)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        shares[other.name] = sum(bool(answer.get("unlike")) for answer in answers) / len(answers)
    yield "unlike", {"shares": shares}


def forecasts(options, task, size, seed, train, test, folder):
    """What is foretold from a draw, and the accuracy with twice and four times as many examples."""
    examples = decision_tasks.pool(task, DATA, options.work)
    report = head(options, task, seed, train, test, folder)
    found = {"told": report["forecasts"], "n": facts(report)["test"]["accuracy"][0]}
    for times in (2, 4):
        more, rest = decision_tasks.draw(task, examples, str(int(size) * times), seed)
        if len(more) < 0.9 * int(size) * times or len(rest) < 300:
            break
        found[f"{times}n"] = facts(head(options, task, seed, more, rest, folder))["test"]["accuracy"][0]
    yield "head", found


MODES = {"numbers": numbers, "depths": depths, "labels": labels, "unlike": unlike, "forecasts": forecasts}


def run(options):
    done = set()
    if options.out.is_file():
        for line in options.out.read_text().splitlines():
            row = json.loads(line)
            done.add((row["mode"], row["task"], row["size"], row["draw"], row["what"]))
    with open(options.out, "a", encoding="utf-8") as results, tempfile.TemporaryDirectory(dir=options.work) as temp:
        for task, size, seed, train, test in draws(options):
            if any(key[:4] == (options.mode, task.name, size, seed) for key in done):
                continue
            try:
                made = list(MODES[options.mode](options, task, size, seed, train, test, Path(temp)))
            except RuntimeError as refused:
                # The audit may leave a drawn class with one example, which a fit refuses.
                print(f"not measured: {refused}", file=sys.stderr)
                continue
            for what, found in made:
                row = {"mode": options.mode, "task": task.name, "half": task.half, "size": size, "draw": seed, "what": what, **found}
                results.write(json.dumps(row) + "\n")
                results.flush()
                print(task.name, size, seed, what, found.get("test", {}).get("accuracy", [""])[0], file=sys.stderr)


def covers(ours, test):
    """Whether the interval holds what was measured on the test part, whose own error counts too."""
    mean, low, high = ours[:3]
    if None in (mean, low, high, *test[:3]):
        return None
    truth, own = test[0], max(test[2] - test[1], 0) / 2
    side = high - mean if truth > mean else mean - low
    return abs(truth - mean) <= math.hypot(side, own) + 1e-12


def share(values):
    values = [value for value in values if value is not None]
    return f"{100 * statistics.mean(values):.1f} ({len(values)})" if values else "-"


def tables(path):
    rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
    number = [row for row in rows if row["mode"] == "numbers"]
    for key in ("size", "task", "half"):
        groups = collections.defaultdict(list)
        for row in number:
            groups[row[key]].append(row)
        if groups:
            print(f"\nCoverage of 95 % intervals, per cent (draws), by {key}; error among the answered; said to be unlike\n")
            print(f"| {key} | " + " | ".join(ESTIMATES) + " | accuracy stated / true | answered | error, pooled | draws above 5 % | unlike |")
            print("|---|" + "---:|" * (len(ESTIMATES) + 5))
        for group, members in sorted(groups.items()):
            cells = [share([covers(row["ours"][name], row["test"][name]) for row in members if name in row["ours"]]) for name in ESTIMATES]
            stated = statistics.mean(row["ours"]["accuracy"][0] for row in members)
            true = statistics.mean(row["test"]["accuracy"][0] for row in members)
            asked = [row["unsure_test"] for row in members if row.get("unsure_test")]
            answered = statistics.mean(each["answered"] for each in asked) if asked else 0
            total = sum(each["answered"] for each in asked)
            wrong = sum(each["answered"] * (each["error"] or 0) for each in asked)
            above = sum((each["error"] or 0) > 0.05 for each in asked)
            alike = [row["unlike_test"] for row in members if row.get("unlike_test") is not None]
            cells += [f"{100 * stated:.1f} / {100 * true:.1f}", f"{100 * answered:.0f} %"]
            cells += [f"{100 * wrong / total:.1f} %" if total else "-", f"{above} of {len(asked)}", f"{100 * statistics.mean(alike):.1f} %" if alike else "-"]
            print(f"| {group} | " + " | ".join(cells) + " |")
    regret_table([row for row in rows if row["mode"] == "depths"])
    label_table([row for row in rows if row["mode"] == "labels"])
    unlike_table([row for row in rows if row["mode"] == "unlike"])
    forecast_table([row for row in rows if row["mode"] == "forecasts"])


def forecast_table(rows):
    """How often the interval of a forecast holds the gain that comes on the mean over draws."""
    by_task = collections.defaultdict(list)
    for row in rows:
        by_task[row["task"], row["size"]].append(row)
    if not by_task:
        return
    print("\nForecasts\n\n| task | from | labels more | draws told | gain told | gain that came | interval holds the mean gain |\n|---|---:|---:|---:|---:|---:|---:|")
    all_held, all_told = 0, 0
    for (task, size), found in sorted(by_task.items()):
        for times, factor in (("2n", 1), ("4n", 3)):
            came = [row[times] - row["n"] for row in found if times in row]
            if len(came) < 3:
                continue
            truth, told, held = statistics.mean(came), [], 0
            for row in found:
                for each in row["told"]:
                    if each["more"] != factor * each["now"] or each["outcome"]["kind"] not in ("gain", "none-seen"):
                        continue
                    outcome = each["outcome"]
                    told.append(outcome.get("gain", 0.0))
                    held += outcome.get("low", 0.0) - 1e-9 <= truth <= outcome["high"] + 1e-9
            all_held, all_told = all_held + held, all_told + len(told)
            if told:
                print(f"| {task} | {size} | {factor} x {size} | {len(told)} | {100 * statistics.mean(told):.1f} | {100 * truth:.1f} | {held} of {len(told)} |")
    print(f"\nAll: {all_held} of {all_told}")


def regret_table(rows):
    draws = collections.defaultdict(dict)
    for row in rows:
        draws[row["task"], row["half"], row["size"], row["draw"]][row["what"]] = row
    by_task = collections.defaultdict(list)
    for (task, half, size, _), found in draws.items():
        by_task[task, half, size].append(found)
    if not by_task:
        return
    names = ["auto", *DEPTHS["texts"]]
    print("\nAccuracy on the test part, mean over draws; regret against the best fixed depth of the task\n")
    print("| task | half | size | draws | " + " | ".join(names) + " | taken | regret of auto |")
    print("|---|---|---|---:|" + "---:|" * len(names) + "---|---:|")
    regrets = collections.defaultdict(lambda: collections.defaultdict(list))
    for (task, half, size), found in sorted(by_task.items()):
        means = {}
        for name in names:
            values = [each[name]["test"]["accuracy"][0] for each in found if name in each]
            if values:
                means[name] = 100 * statistics.mean(values)
        best = max(value for name, value in means.items() if name != "auto")
        for name, value in means.items():
            regrets[half][name].append(best - value)
        taken = collections.Counter(each["auto"]["depth"] for each in found if "auto" in each)
        cells = [f"{means[name]:.1f}" if name in means else "-" for name in names]
        shown = ", ".join(f"{name} {count}" for name, count in taken.most_common())
        print(f"| {task} | {half} | {size} | {len(found)} | " + " | ".join(cells) + f" | {shown} | {best - means.get('auto', best):.2f} |")
    for half, found in sorted(regrets.items()):
        print(f"\nRegret on the tasks to {half}: " + "; ".join(f"{name} {statistics.mean(of):.2f} (max {max(of):.1f})" for name, of in found.items()))


def label_table(rows):
    by_task = collections.defaultdict(list)
    for row in rows:
        by_task[row["task"], row["size"]].append(row)
    if by_task:
        print("\nPlanted label errors\n\n| task | size | planted | shown | precision | found | precision at 5 | at 10 |\n|---|---|---:|---:|---:|---:|---:|---:|")
    for (task, size), found in sorted(by_task.items()):
        planted, shown = sum(row["planted"] for row in found), sum(len(row["hits"]) for row in found)
        right = sum(sum(row["hits"]) for row in found)
        at = lambda k: statistics.mean(statistics.mean(row["hits"][:k]) for row in found if row["hits"]) if any(row["hits"] for row in found) else 0
        print(f"| {task} | {size} | {planted} | {shown} | {right / max(shown, 1):.2f} | {right / max(planted, 1):.2f} | {at(5):.2f} | {at(10):.2f} |")


def unlike_table(rows):
    if rows:
        print("\nSaid to be unlike the training data, per cent of the examples of other tasks\n")
    for row in rows:
        print(f"- {row['task']} ({row['size']}, draw {row['draw']}): " + ", ".join(f"{name} {100 * value:.0f}" for name, value in row["shares"].items() if value is not None))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("mode", choices=[*MODES, "tables"])
    parser.add_argument("results", nargs="?", help="of tables: the file of results")
    parser.add_argument("--out", type=Path, default=Path("decisions.jsonl"))
    parser.add_argument("--engraft", default=str(HERE.parent / "target/release/engraft"))
    parser.add_argument("--base", default=str(DATA / "weights/mobilenet_v2_1.0_224_quant.torchvision.safetensors"))
    parser.add_argument("--text-base", default="minilm")
    parser.add_argument("--work", type=Path, default=Path("decisions"), help="folder of the examples and of cached features")
    parser.add_argument("--tasks", nargs="*", default=[])
    parser.add_argument("--kinds", nargs="*", default=["images", "texts"])
    parser.add_argument("--half", choices=["set", "check"])
    parser.add_argument("--sizes", nargs="*", default=["60", "100", "400"])
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="number of the first draw")
    parser.add_argument("--depths", nargs="*", default=[])
    parser.add_argument("--planted", type=float, default=0.05)
    parser.add_argument("--flags", nargs=argparse.REMAINDER, default=[], help="more flags of the fits, last on the line")
    options = parser.parse_args()
    if options.mode == "tables":
        return tables(options.results or options.out)
    options.work.mkdir(parents=True, exist_ok=True)
    run(options)


if __name__ == "__main__":
    main()
