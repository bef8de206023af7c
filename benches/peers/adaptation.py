"""skada (whose linear transport is POT's) beside `engraft adapt` on the same features: accuracy on the target, and seconds of each method.

The features are those of `engraft embed` for texts and images, and the standardised columns for rows. skada's estimators get the same
logistic regression, at the strength that cross-validation on the source chooses. Seconds are those of fitting and answering by one method;
of engraft those that its report tells of it.
"""

import csv
import json
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import adaptation_tasks
import numpy as np
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.preprocessing import StandardScaler

OURS = {"CORAL": "coral", "linear OT": "transport", "TCA": "tca"}


def features(options, pair, examples, folder):
    if "," in pair.header:
        rows = [[float(cell) if cell else np.nan for cell in example.text.split(",")] for example in examples]
        return np.array(rows, dtype=np.float32)
    table, out = folder / "examples.csv", folder / "features.npy"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([[pair.header], *([example.text] for example in examples)])
    base = options.text_base if pair.header == "text" else options.base
    column = ["--text", "text"] if pair.header == "text" else []
    subprocess.run(
        [options.engraft, "embed", table, "--base", base, *column, "--out", out, "--force", "--quiet"],
        check=True,
    )
    return np.load(out)


def skada_methods(strength):
    from skada import CORALAdapter, LinearOTMappingAdapter, TransferComponentAnalysisAdapter, make_da_pipeline

    adapters = {
        "CORAL": CORALAdapter(),
        "linear OT": LinearOTMappingAdapter(),
        "TCA": TransferComponentAnalysisAdapter(n_components=30),
    }
    return {name: make_da_pipeline(adapter, LogisticRegression(C=strength, max_iter=500)) for name, adapter in adapters.items()}


def run(options, pairs, data):
    print("| pair | method | engraft | s | skada | s |\n|---|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for pair in pairs:
            source, target = adaptation_tasks.drawn(pair, 0, "as they are", data, options.work)
            tables = folder / "source.csv", folder / "target.csv"
            for table, examples in zip(tables, (source, target)):
                adaptation_tasks.table(pair, examples, table)
            line = options.command(options, pair, *tables, "--json", "--force", "--out", folder / "run")
            ours = json.loads(options.ran(line))["adaptation"]
            accuracy = {method["name"]: method["accuracy"] for method in ours["measured"]["methods"]}
            seconds = {method["name"]: method.get("seconds", float("nan")) for method in ours["methods"]}
            xs, xt = features(options, pair, source, folder), features(options, pair, target, folder)
            names = sorted({example.label for example in source})
            ys, yt = ([names.index(example.label) for example in examples] for examples in (source, target))
            scaler = StandardScaler().fit(xs)
            medians = np.nan_to_num(np.nanmedian(xs, 0))
            xs, xt = (np.nan_to_num(np.where(np.isnan(x), medians, x) - scaler.mean_) / np.where(scaler.scale_ > 0, scaler.scale_, 1) for x in (xs, xt))
            strength = float(LogisticRegressionCV(Cs=np.logspace(-5, 2, 12), max_iter=500, scoring="neg_log_loss").fit(xs, ys).C_[0])
            x, y = np.concatenate([xs, xt]), np.concatenate([ys, np.full(len(xt), -1)])
            domain = np.concatenate([np.ones(len(xs)), -2 * np.ones(len(xt))]).astype(int)
            for name, estimator in skada_methods(strength).items():
                begun = time.time()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    answers = estimator.fit(x, y, sample_domain=domain).predict(xt, sample_domain=-2 * np.ones(len(xt), int))
                took, theirs = time.time() - begun, float(np.mean(answers == yt))
                mine = OURS[name]
                print(f"| {pair.name} | {name} | {100 * accuracy[mine]:.1f} | {seconds[mine]:.2f} | {100 * theirs:.1f} | {took:.2f} |", flush=True)
