"""What fewer columns cost: word vectors reduced by `engraft glove reduce`, measured on similarity, analogies and a probe.

    python word_vectors.py --engraft PATH --full g300.txt --trained DIR --data DIR --out table.json [--widths 200,100,50,25] [--only pca,trained]

(numpy, scikit-learn.) `--full` are the vectors that are reduced, `--trained` has `gN.txt` that were trained at N columns on the same
co-occurrences, `--data` the folder with `wordsim/`, `question-data/` and `sentence_polarity.zip`. Beside PCA, PCA of centred vectors, PPA (`--remove 3`, so that
widths near the full one are possible) and vectors trained at the width stand a Gaussian random projection and the first columns.

The probe is logistic regression on the mean of a sentence's vectors, each column standardised on the training sentences. The strength is chosen by 3-fold cross-validation
on the training sentences. 1,000 sentences are held out, the same for all; 8 and 64 labels a class are drawn 10 times, the same for all.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile

import numpy as np
from sklearn.linear_model import LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

parser = argparse.ArgumentParser()
for name in ["engraft", "full", "trained", "data", "out"]:
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--widths", default="200,100,50,25")
parser.add_argument("--only", help="names of rows, with commas between them: full, pca, pca --centre, ppa, trained, random projection, first columns")
args = parser.parse_args()
widths = [int(x) for x in args.widths.split(",")]


def run(*command):
    done = subprocess.run([args.engraft, "glove", *map(str, command)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command}: {done.stderr}")
    return json.loads(done.stdout)


def read(path):
    words, rows = [], []
    for line in open(path, encoding="utf-8"):
        word, *numbers = line.rstrip("\n").split(" ")
        words.append(word)
        rows.append(np.array(numbers, dtype=np.float32))
    return words, np.stack(rows)


def write(path, words, rows):
    with open(path, "w", encoding="utf-8") as file:
        for word, row in zip(words, rows):
            file.write(word + " " + " ".join(f"{x:.6g}" for x in row) + "\n")


def sentences():
    archive = zipfile.ZipFile(os.path.join(args.data, "sentence_polarity.zip"))
    texts, labels = [], []
    for name in sorted(archive.namelist()):
        if name.endswith((".pos", ".neg")) or re.search(r"\.(pos|neg)(\.|$)", name):
            lines = archive.read(name).decode("utf-8", "replace").lower().splitlines()
            texts += lines
            labels += [int(".pos" in name)] * len(lines)
    return [re.findall(r"[^\W_]+(?:'[^\W_]+)?", text) for text in texts], np.array(labels)


TEXTS, LABELS = sentences()
ORDER = np.random.default_rng(0).permutation(len(TEXTS))
HELD, TRAIN = ORDER[:1000], ORDER[1000:]


def probe(words, rows):
    place = {word: at for at, word in enumerate(words)}
    known = [[place[w] for w in text if w in place] for text in TEXTS]
    x = np.stack([rows[k].mean(0) if k else np.zeros(rows.shape[1]) for k in known]).astype(np.float64)
    found = {}
    for label in [8, 64, None]:
        scores = []
        for draw in range(10 if label else 1):
            chosen = TRAIN
            if label:
                mixed = np.random.default_rng(100 + draw).permutation(TRAIN)
                chosen = np.concatenate([mixed[LABELS[mixed] == c][:label] for c in (0, 1)])
            model = make_pipeline(StandardScaler(), LogisticRegressionCV(Cs=np.logspace(-4, 0, 5), cv=3, max_iter=2000, scoring="neg_log_loss"))
            model.fit(x[chosen], LABELS[chosen])
            scores.append((model.predict(x[HELD]) == LABELS[HELD]).mean())
        found[str(label or "all")] = [float(np.mean(scores)), float(np.std(scores))]
    return found


def measure(path):
    told = run("evaluate", path, "--analogies", os.path.join(args.data, "question-data"), "--similarity",
               os.path.join(args.data, "wordsim"), "--permutations", 0, "--map", 0)
    lists = {s["list"]: [s["spearman"]["mean"], s["spearman"]["low"], s["spearman"]["high"]] for s in told["similarity"]}
    all_ = told["analogies"]["all"]
    words, rows = read(path)
    return {"similarity": lists, "asked": all_["asked"], "add": all_["add"] / all_["asked"], "mul": all_["mul"] / all_["asked"], "probe": probe(words, rows)}


table = {}


def add(name, width, path):
    if args.only and name not in args.only.split(","):
        return
    table[f"{name}-{width}"] = measure(path)
    it = table[f"{name}-{width}"]
    ws, rg = it["similarity"]["EN-WS-353-ALL"][0], it["similarity"]["EN-RG-65"][0]
    probes = " | ".join(f"{100 * it['probe'][k][0]:.1f}" for k in ["8", "64", "all"])
    print(f"| {name} | {width} | {ws:.3f} | {rg:.3f} | {100 * it['add']:.1f} | {100 * it['mul']:.1f} | {probes} |", flush=True)
    with open(args.out, "w") as file:
        json.dump(table, file, indent=1)


words, full = read(args.full)
print("| vectors | columns | WS-353 | RG-65 | 3CosAdd % | 3CosMul % | probe, 8 a class | 64 | all |\n|---|---|---|---|---|---|---|---|---|")
add("full", full.shape[1], args.full)
with tempfile.TemporaryDirectory() as temp:
    at = lambda name: os.path.join(temp, name)
    for width in widths:
        for name, flags in [("pca", ["--method", "pca"]), ("pca --centre", ["--method", "pca", "--centre"]), ("ppa", ["--method", "ppa", "--remove", 3])]:
            run("reduce", args.full, "--out", at(f"{name}{width}.txt"), "--columns", width, *flags)
            add(name, width, at(f"{name}{width}.txt"))
        trained = os.path.join(args.trained, f"g{width}.txt")
        if os.path.exists(trained):
            add("trained", width, trained)
        projection = np.random.default_rng(width).normal(size=(full.shape[1], width)) / np.sqrt(width)
        write(at("random.txt"), words, full @ projection.astype(np.float32))
        add("random projection", width, at("random.txt"))
        write(at("first.txt"), words, full[:, :width])
        add("first columns", width, at("first.txt"))
