"""Engraft's GloVe beside Stanford's C tools, stage by stage, on 40 MB of the Gutenberg text.

    python benches/glove.py --engraft target/release/engraft --c PLAIN_BUILD --c-fast FAST_BUILD [--threads 1 2] [--work DIR]

PLAIN_BUILD and FAST_BUILD are the folders `build/` of github.com/stanfordnlp/GloVe at 52f7dbc, made by `make` and by
`make CFLAGS="-pthread -Ofast -march=native -funroll-loops"`. Runs alternate, medians of three are compared, files are compared byte by byte.
The C tools' vocab_count, cooccur and shuffle have one thread.
"""

import argparse
import lzma
import os
import re
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

WORDS = re.compile(r"[a-z]+(?:'[a-z]+)?")
RUNS = 3


def slice_of(data, work):
    """The first 40 MB, lower-cased, a paragraph a line."""
    path = work / "slice.txt"
    if not path.exists():
        with lzma.open(data / "text/gutenberg_shared.txt.xz") as file:
            text = file.read(40_000_000).decode("utf8", "ignore").lower()
        with open(path, "w") as out:
            for paragraph in re.split(r"\n\s*\n", text):
                words = WORDS.findall(paragraph)
                if words:
                    out.write(" ".join(words) + "\n")
    return path


def timed(command, stdin=None, stdout=None):
    """Seconds, and the most memory in MB."""
    with open(stdin or os.devnull, "rb") as source, open(stdout or os.devnull, "wb") as sink:
        start = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], stdin=source, stdout=sink, stderr=subprocess.PIPE)
        log = process.stderr.read().decode("utf8", "replace")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        if status != 0:
            raise SystemExit(f"{command} failed:\n{log}")
        return time.perf_counter() - start, usage.ru_maxrss / 1024, log


def compare(title, candidates):
    """Runs the candidates in turn, and tells medians and ratios to the first."""
    seen = {name: [] for name in candidates}
    logs = {}
    for _ in range(RUNS):
        for name, run in candidates.items():
            seconds, memory, logs[name] = run()
            seen[name].append((seconds, memory))
    medians = {name: statistics.median(seconds for seconds, _ in runs) for name, runs in seen.items()}
    memory = {name: max(memory for _, memory in runs) for name, runs in seen.items()}
    print(f"\n{title}")
    for name in candidates:
        ratios = [f"{medians[other] / medians[name]:.2f}x {other}" for other in candidates if other.startswith("C")]
        beside = "" if name.startswith("C") else "   " + ", ".join(ratios)
        print(f"  {name:28} {medians[name]:8.2f} s {memory[name]:8.0f} MB{beside}", flush=True)
    return logs


def compare_records(first, second):
    """Whether two files have the same pairs, and how far their values differ."""
    pairs = [{record[:2]: record[2] for record in struct.iter_unpack("<iid", Path(path).read_bytes())}
             for path in [first, second]]
    if pairs[0].keys() != pairs[1].keys():
        raise SystemExit("the files have other pairs")
    worst = max(abs(value / pairs[1][pair] - 1) for pair, value in pairs[0].items())
    print(f"  records: {len(pairs[0])} in both, the largest relative difference: {worst:.1e}")


def main():
    if sys.argv[1:2] == ["--compare"]:
        compare_records(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--engraft", type=Path, default=os.environ.get("ENGRAFT", "target/release/engraft"))
    parser.add_argument("--c", type=Path, default=os.environ.get("GLOVE_C"))
    parser.add_argument("--c-fast", type=Path, default=os.environ.get("GLOVE_C_FAST"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ENGRAFT_DATA", "../shared/data")))
    parser.add_argument("--work", type=Path, default=Path("/tmp/engraft-glove-bench"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--size", type=int, default=50)
    parser.add_argument("--iter", type=int, default=3)
    parser.add_argument("--skip-records", action="store_true", help="do not compare the records of both, which takes a minute")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    work, engraft = args.work, args.engraft.resolve()
    corpus = slice_of(args.data, work)
    builds = {name: path.resolve() for name, path in [("C -O3", args.c), ("C -Ofast", args.c_fast)] if path}

    def ours(threads, *parts):
        return lambda: timed([engraft, "glove", *parts, "--threads", threads])

    def stage(title, c, mine):
        return compare(title, {
            **{name: (lambda path=path: c(path)) for name, path in builds.items()},
            **{f"engraft, threads: {threads}": ours(threads, *mine) for threads in args.threads},
        })

    stage("vocabulary", lambda path: timed([path / "vocab_count", "-min-count", 5, "-verbose", 0], corpus, work / "c.vocab"),
          ["vocab", corpus, "--min-count", 5, "--out", work / "vocab.txt", "--force"])
    same = (work / "c.vocab").read_bytes() == (work / "vocab.txt").read_bytes()
    print(f"  vocab.txt is {'byte for byte the same' if same else 'ANOTHER'}")

    stage("co-occurrences", lambda path: timed(
        [path / "cooccur", "-memory", 4, "-vocab-file", work / "vocab.txt", "-window-size", 10, "-verbose", 0, "-overflow-file",
         work / "overflow"], corpus, work / "c.bin"),
        ["cooccur", corpus, "--vocab-file", work / "vocab.txt", "--window-size", 10, "--memory", 4096, "--out",
         work / "cooccurrence.bin", "--force"])
    if not args.skip_records:
        # In a process of its own: what this one takes would be counted as that of the programs that it starts.
        subprocess.run([sys.executable, __file__, "--compare", work / "c.bin", work / "cooccurrence.bin"], check=True)

    stage("shuffle", lambda path: timed(
        [path / "shuffle", "-memory", 4, "-verbose", 0, "-seed", 1, "-temp-file", work / "temporary"], work / "c.bin",
        work / "c.shuf"),
        ["shuffle", work / "c.bin", "--memory", 4096, "--out", work / "shuffled.bin", "--force"])

    for threads in args.threads:
        logs = compare(f"training, {args.iter} epochs of {args.size} columns, threads: {threads}", {
            **{name: (lambda path=path: timed(
                [path / "glove", "-input-file", work / "c.shuf", "-vocab-file", work / "vocab.txt", "-save-file", work / "c",
                 "-threads", threads, "-vector-size", args.size, "-iter", args.iter, "-seed", 1, "-verbose", 0]))
               for name, path in builds.items()},
            "engraft": ours(threads, "train", work / "c.shuf", "--vocab-file", work / "vocab.txt",
                            "--vector-size", args.size, "--iter", args.iter, "--out", work / "vectors", "--force"),
        })
        for name in builds:
            print(f"  costs of {name}:", " ".join(re.findall(r"cost: ([0-9.]+)", logs[name])))
        print("  costs of engraft:", (work / "vectors/glove.json").read_text().split('"costs"')[1].split("]")[0])


if __name__ == "__main__":
    main()
