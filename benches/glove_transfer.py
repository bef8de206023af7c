"""Word vectors of old books, moved to film reviews by `engraft glove adapt`, and measured where labels are few.

    python benches/glove_transfer.py --engraft target/release/engraft [--data DIR] [--work DIR] [--seeds 1 2 3] [--draws 10]

(numpy, scikit-learn.) The base is trained on the first 40 MB of the Gutenberg text; the target's text is `movie_reviews.zip` without its
labels. Both are lower-cased and cut into words alike. All trainings have 100 columns, 15 epochs, a window of 10 words and a least count of 5.

A sentence is the mean of its words' vectors, each column standardised; the classifier is logistic regression whose strength is chosen by cross-validation on
the labels that are given. 10 draws, shared out over the seeds of the vectors: each draws 2,000 sentences that are held out, and 8, 64 and all labels a class of the others.
All kinds of vectors see the same draws; differences are paired, and their standard errors are over draws, whose held-out sentences overlap.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from glove import WORDS, slice_of

warnings.filterwarnings("ignore")
SAME = ["--window-size", 10, "--iter", 15, "--min-count", 5]
HELD, LABELS = 2000, [8, 64, None]


def members(archive, pattern):
    for name in sorted(archive.namelist()):
        if re.search(pattern, name):
            yield name, archive.read(name).decode("latin-1").lower()


def reviews_of(data, work):
    """Film reviews, a line of the file a line."""
    path = work / "reviews.txt"
    with open(path, "w") as out:
        for _, text in members(zipfile.ZipFile(data / "text/movie_reviews.zip"), r"/(pos|neg)/.*\.txt$"):
            # The files have a sentence a line; a review is one context.
            out.write(" ".join(WORDS.findall(text)) + "\n")
    return path


def sentences(data, archive, classes):
    texts, labels = [], []
    for label, pattern in enumerate(classes):
        for _, text in members(zipfile.ZipFile(data / f"text/{archive}.zip"), pattern):
            found = [WORDS.findall(line) for line in text.splitlines() if line.strip()]
            texts += found
            labels += [label] * len(found)
    return texts, np.array(labels)


def read(folder):
    words, rows = {}, []
    for line in open(folder / "vectors.txt", encoding="utf-8"):
        word, *numbers = line.rstrip("\n").split(" ")
        if word != "<unk>":
            words[word] = len(rows)
            rows.append(np.array(numbers, dtype=np.float32))
    return words, np.stack(rows)


def joined(first, second):
    """Both vectors of a word, one after the other; zeros where a word has one of them."""
    words = {word: at for at, word in enumerate({**first[0], **second[0]})}
    rows = np.zeros((len(words), first[1].shape[1] + second[1].shape[1]), dtype=np.float32)
    for word, at in words.items():
        if word in first[0]:
            rows[at, : first[1].shape[1]] = first[1][first[0][word]]
        if word in second[0]:
            rows[at, first[1].shape[1] :] = second[1][second[0][word]]
    return words, rows


def means(vectors, texts):
    words, rows = vectors
    known = [[words[word] for word in text if word in words] for text in texts]
    return np.stack([rows[at].mean(0) if at else np.zeros(rows.shape[1]) for at in known]).astype(np.float64)


def draws(labels, numbers):
    """For each draw, what is held out, and the sentences whose labels are given, for each number of labels."""
    for draw in numbers:
        order = np.random.default_rng(draw).permutation(len(labels))
        held, rest = order[:HELD], order[HELD:]
        chosen = {}
        for number in LABELS:
            of_class = [rest[labels[rest] == c][:number] for c in (0, 1)]
            chosen[str(number or "all")] = np.concatenate(of_class)
        yield held, chosen


def accuracy(x, labels, chosen, held):
    search = LogisticRegressionCV(Cs=np.logspace(-4, 0, 5), cv=3, solver="newton-cholesky", scoring="neg_log_loss",
                                  use_legacy_attributes=False)
    model = make_pipeline(StandardScaler(), search).fit(x[chosen], labels[chosen])
    return float((model.predict(x[held]) == labels[held]).mean())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--engraft", type=Path, default=os.environ.get("ENGRAFT", "target/release/engraft"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ENGRAFT_DATA", "../shared/data")))
    parser.add_argument("--work", type=Path, default=Path("/tmp/engraft-glove-transfer"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--pulls", nargs="+", default=["0", "0.1", "0.5"])
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    work, engraft = args.work, args.engraft.resolve()
    books, reviews = slice_of(args.data, work), reviews_of(args.data, work)

    def trained(name, seed, *parts):
        out = work / f"{name}-{seed}"
        if not out.exists():
            command = [engraft, "glove", *parts, *SAME, "--seed", seed, "--out", out]
            done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{command}: {done.stderr}")
        return out

    tasks = {
        "sentence_polarity": sentences(args.data, "sentence_polarity", [r"\.neg$", r"\.pos$"]),
        "subjectivity": sentences(args.data, "subjectivity", [r"plot\.tok", r"quote\.tok"]),
    }
    found = {}
    for place, seed in enumerate(args.seeds):
        base = trained("base", seed, books, "--vector-size", 100)
        vectors = {"base": read(base), "target only": read(trained("target", seed, reviews, "--vector-size", 100))}
        for pull in args.pulls:
            adapted = trained(f"pull-{pull}", seed, "adapt", reviews, "--base", base / "vectors.txt", "--pull", pull)
            vectors["warm start" if pull == "0" else f"pull {pull}"] = read(adapted)
        vectors["base and target only, concatenated"] = joined(vectors["base"], vectors["target only"])
        vectors["joint corpus"] = read(trained("joint", seed, books, reviews, "--vector-size", 100))
        for task, (texts, labels) in tasks.items():
            for name, of_words in vectors.items():
                x = means(of_words, texts)
                for held, chosen in draws(labels, range(place, args.draws, len(args.seeds))):
                    for number, rows in chosen.items():
                        found.setdefault((task, number), {}).setdefault(name, []).append(accuracy(x, labels, rows, held))
        print(f"seed {seed} done", file=sys.stderr, flush=True)
    for task in tasks:
        print(f"\n| {task} | " + " | ".join(f"{number or 'all'} a class" for number in LABELS) + " |\n|---" + "|---" * len(LABELS) + "|")
        for name in found[task, "all"]:
            cells = []
            for number in LABELS:
                runs = found[task, str(number or "all")]
                own, base = 100 * np.array(runs[name]), 100 * np.array(runs["base"])
                gain = own - base
                beside = "" if name == "base" else f" ({gain.mean():+.1f} ± {gain.std(ddof=1) / len(gain) ** 0.5:.1f})"
                cells.append(f"{own.mean():.1f}{beside}")
            print(f"| {name} | " + " | ".join(cells) + " |")
    with open(work / "transfer.json", "w") as file:
        json.dump({f"{task}, {number}": runs for (task, number), runs in found.items()}, file, indent=1)


if __name__ == "__main__":
    main()
