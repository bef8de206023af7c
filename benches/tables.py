"""Rows of tables beside scikit-learn, on the same folds.

    PEER/bin/python benches/tables.py ENGRAFT [--data DIR] [--out FOLDER]

PEER is a virtual environment with scikit-learn. DIR is the folder of test data ($ENGRAFT_DATA or ../shared/data). `engraft fit`
runs with its defaults; scikit-learn gets the folds that predictions.csv names, and on each of them chooses its own strength by
cross-validation within the training part. Printed are out-of-fold accuracies, or R² and mean absolute errors, and wall seconds.
"""

import argparse
import csv
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.metrics import accuracy_score, mean_absolute_error, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

WINE = (
    "fixed acidity,volatile acidity,citric acid,residual sugar,chlorides,free sulfur dioxide,total sulfur dioxide,density,pH,"
    "sulphates,alcohol,quality"
)
# Codes of categories, as the data's description has them.
CODES = ["cp", "restecg", "slope", "thal"]


def tables(data, folder):
    """Name, file, flags and task of every table."""
    wine = folder / "wine.csv"
    wine.write_text(WINE + "\n" + (data / "tabular/winequality-red.csv").read_text())
    yield "wine quality", wine, ["--label-column", "quality", "--task", "regression"], "number"
    yield "wine quality", wine, ["--label-column", "quality"], "class"
    for hospital in ["va", "cleveland"]:
        heart = folder / f"heart-{hospital}.csv"
        rows = list(csv.reader((data / f"tabular/processed.{hospital}.data").open()))
        with heart.open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(rows[0])
            # Categories are written as such, for both sides.
            named = [rows[0].index(name) for name in CODES]
            for row in rows[1:]:
                out.writerow(["" if c == "?" else f"c{c}" if i in named else c for i, c in enumerate(row)])
        yield f"heart disease, {hospital}", heart, ["--label-column", "num"], "class"
    digits = load_digits()
    array = folder / "digits.npy"
    np.save(array, digits.data.astype(np.float32))
    np.save(folder / "digits_labels.npy", digits.target)
    yield "digits (.npy)", array, [], "class"


def peers(task):
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    words = make_pipeline(OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=2, sparse_output=False))
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include=np.number)), (words, make_column_selector(dtype_exclude=np.number))
    )
    if task == "number":
        ridge = RidgeCV(alphas=np.logspace(-3, 5, 25))
        return {"linear": make_pipeline(columns, ridge), "boosted": boosted(HistGradientBoostingRegressor)}
    logistic = LogisticRegressionCV(
        Cs=np.logspace(-4, 2, 12), l1_ratios=(0.0,), use_legacy_attributes=False, scoring="neg_log_loss", max_iter=3000
    )
    return {"linear": make_pipeline(columns, logistic), "boosted": boosted(HistGradientBoostingClassifier)}


def boosted(kind):
    from sklearn.preprocessing import OrdinalEncoder

    words = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    rest = make_column_transformer(
        (words, make_column_selector(dtype_exclude=np.number)), remainder="passthrough"
    )
    return make_pipeline(rest, kind(random_state=0))


def read(file, flags):
    import pandas

    if file.suffix == ".npy":
        return pandas.DataFrame(np.load(file)), np.load(file.with_name(f"{file.stem}_labels.npy"))
    table = pandas.read_csv(file)
    label = flags[flags.index("--label-column") + 1]
    return table.drop(columns=label), table[label]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("engraft")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ENGRAFT_DATA", "../shared/data")))
    args = parser.parse_args()
    print("| table | n | engraft head | scikit-learn linear | engraft boosted trees | scikit-learn boosted | s | s |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, file, flags, task in tables(args.data, folder):
            print(row(args.engraft, title, file, flags, task, folder / "run"), flush=True)


def row(engraft, title, file, flags, task, out):
    import json

    start = time.perf_counter()
    subprocess.run([engraft, "fit", file, *flags, "--out", out, "--force"], check=True, capture_output=True)
    seconds = time.perf_counter() - start
    report = json.loads((out / "report.json").read_text())
    told = [line for line in csv.DictReader((out / "predictions.csv").open()) if line["split"] == "train"]
    places = np.array([int(line["path"].removeprefix("row ")) - 1 for line in told])
    folds = np.array([int(line["fold"]) for line in told])
    x, y = read(file, flags)
    x, y = x.iloc[places].reset_index(drop=True), np.asarray(y)[places]
    start = time.perf_counter()
    theirs = {}
    for name, model in peers(task).items():
        predicted = np.empty_like(y, dtype=float if task == "number" else y.dtype)
        for fold in np.unique(folds):
            model.fit(x[folds != fold], y[folds != fold])
            predicted[folds == fold] = model.predict(x[folds == fold])
        theirs[name] = predicted
    peer_seconds = time.perf_counter() - start

    def shown(predicted):
        if task == "number":
            return f"R² {r2_score(y, predicted):.3f}, MAE {mean_absolute_error(y, predicted):.3f}"
        return f"{100 * accuracy_score(y, predicted):.1f} %"

    if task == "number":
        ours = np.array([float(line["prediction"]) for line in told])
        trees = next(b for b in report["controls"]["baselines"] if b["name"] == "boosted trees")["measures"]
        trees = f"R² {trees['r2']['mean']:.3f}, MAE {trees['mae']['mean']:.3f}"
    else:
        ours = np.array([line["answer"] for line in told]).astype(y.dtype)
        trees = next(b for b in report["controls"]["baselines"] if b["name"] == "boosted trees")["measures"]
        trees = f"{100 * trees['accuracy']['mean']:.1f} %"
    cells = [f"{title} ({task})", len(y), shown(ours), shown(theirs["linear"]), trees, shown(theirs["boosted"])]
    return "| " + " | ".join(map(str, cells)) + f" | {seconds:.1f} | {peer_seconds:.1f} |"


if __name__ == "__main__":
    main()
