"""Cells of the benchmark of texts (a set, a size, a seed, a method) and the journal of what was measured in them.

A journal is a file of JSON lines, one for each cell. A cell that is in it, with the same table, is not run again.
"""

import csv
import hashlib
import json
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from text_sets import SIZES, SOURCES, file_of


class OutOfTime(Exception):
    """A cell took longer than it may."""


class Failed(Exception):
    """A cell's program said no; its message says why."""


@dataclass(frozen=True)
class Cell:
    """One measurement."""

    set: str
    size: str
    seed: int
    method: str
    path: Path

    @property
    def key(self):
        return self.set, self.size, self.seed, self.method


def add_options(parser, methods):
    """The options that say which cells are run."""
    parser.add_argument("--splits", type=Path, required=True, help="the folder that `texts.py splits` made")
    parser.add_argument("--results", type=Path, required=True, help="the journal, a file of JSON lines; it is added to")
    parser.add_argument("--methods", nargs="+", choices=methods, default=list(methods))
    parser.add_argument("--sets", nargs="+", choices=SOURCES, default=list(SOURCES))
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--limit", type=int, default=7200, help="seconds that a cell may take [default: %(default)s]")
    parser.add_argument("--again", action="store_true", help="run once more what failed or ran out of time")
    parser.add_argument("--threads", type=int, default=2)


def cells(options, sizes_of):
    """The cells asked for: small sizes first, then cheap methods, then seed by seed, and in a seed short texts first."""
    found = []
    for name in options.sets:
        for size in options.sizes:
            for seed in range(options.seeds):
                path = file_of(options.splits, name, size, seed)
                if not path.is_file():
                    print(f"{path}: not there, left out", file=sys.stderr)
                    continue
                found += [Cell(name, size, seed, m, path) for m in options.methods if size in sizes_of[m]]
    order = [*sizes_of]
    return sorted(found, key=lambda c: (SIZES.index(c.size), order.index(c.method), c.seed, c.path.stat().st_size, c.set))


def rows(path):
    """Texts and labels of the two parts of a table: {"train": (texts, labels), "test": ..}."""
    csv.field_size_limit(1 << 30)
    found = {"train": ([], []), "test": ([], [])}
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            texts, labels = found[row["split"]]
            texts.append(row["text"])
            labels.append(row["label"])
    return found


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def journal(path):
    """The lines of a journal. The last may be torn where a run was killed while it wrote."""
    if not path.is_file():
        return []
    lines = []
    for line in filter(None, path.read_text(encoding="utf-8").split("\n")):
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            print(f"{path}: a torn line is left out", file=sys.stderr)
    return lines


def key_of(line):
    return line["set"], line["size"], line["seed"], line["method"]


def on_alarm(_signal, _frame):
    raise OutOfTime


def run_all(options, asked, measure):
    """Runs the cells that the journal lacks. `measure(cell)` returns at least accuracy, test and train (numbers of texts)."""
    settled = {
        (*key_of(line), line["table"])
        for line in journal(options.results)
        if line["status"] == "ok" or not options.again
    }
    options.results.parent.mkdir(parents=True, exist_ok=True)
    if options.results.is_file() and not options.results.read_bytes().endswith(b"\n"):
        with open(options.results, "a") as file:
            file.write("\n")  # Or the next line would be lost with the torn one.
    signal.signal(signal.SIGALRM, on_alarm)
    for at, cell in enumerate(asked, 1):
        table = digest(cell.path)
        if (*cell.key, table) in settled:
            continue
        line = {"set": cell.set, "size": cell.size, "seed": cell.seed, "method": cell.method, "table": table}
        start = time.perf_counter()
        signal.alarm(options.limit)
        try:
            line |= {"status": "ok", **measure(cell)}
        except OutOfTime:
            line |= {"status": "out of time", "limit": options.limit}
        except Exception as problem:  # One cell that fails must not end the others.
            print(problem, file=sys.stderr) if isinstance(problem, Failed) else traceback.print_exc()
            line |= {"status": "failed", "problem": str(problem)[-2000:]}
        finally:
            signal.alarm(0)
        line["wall"] = round(time.perf_counter() - start, 2)
        with open(options.results, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        shown = f"{line['accuracy']:.4f}" if line["status"] == "ok" else line["status"]
        print(f"{at}/{len(asked)} {' '.join(map(str, cell.key))}: {shown} in {line['wall']:.0f} s", flush=True)
