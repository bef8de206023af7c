#!/usr/bin/env python3
"""Write what scikit-learn makes of a small table, and small arrays by NumPy.

Needs scikit-learn:

    python3 scripts/vectors/make.py

Makes `crates/engraft/tests/fixtures/vectors/`: `encoding.json` with a table, rows
that were never trained on, and the numbers that `SimpleImputer` and
`OneHotEncoder` make of both; and arrays (`.npy`) of several types and orders.
"""

import csv
import io
import json
import pathlib

import numpy as np
import sklearn
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

TRAIN = """age,income,city,smoker,label
31,1200.5,Bonn,yes,a
,800,Köln,no,b
45,,Bonn,no,a
27,950.25,Köln,,b
62,2100,Aachen,yes,a
38,?,Bonn,NA,b
51,1750,Köln,no,a
44,1e3,Essen,no,b
29,640,Bonn,yes,a
,1999.75,Köln,yes,b
57,1430,Bonn,no,a
"""
NEW = """age,income,city,smoker
33,,Essen,no
,1500,Paris,yes
40,900,Köln,perhaps
"""
MISSING = {"", "NA", "?"}
# Sorted after every other category, as the encoding puts it.
NONE = "\uffff"


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def numbers(table, column):
    return np.array([[np.nan if row[column] in MISSING else float(row[column])] for row in table])


def words(table, column):
    return np.array([[NONE if row[column] in MISSING else row[column]] for row in table], dtype=object)


def encoding():
    train, new = rows(TRAIN), rows(NEW)
    parts = []
    for column in ("age", "income"):
        parts.append((SimpleImputer(strategy="median", add_indicator=True), numbers, column))
    for column in ("city", "smoker"):
        # Missing cells come twice at least, so that scikit-learn does not count them among the rare categories.
        encoder = OneHotEncoder(min_frequency=2, handle_unknown="infrequent_if_exist", sparse_output=False)
        parts.append((encoder, words, column))
    made = [[], []]
    for model, read, column in parts:
        model.fit(read(train, column))
        for out, table in zip(made, (train, new)):
            out.append(model.transform(read(table, column)))
    return {
        "sklearn": sklearn.__version__,
        "train": TRAIN,
        "new": NEW,
        "train_encoded": np.hstack(made[0]).tolist(),
        "new_encoded": np.hstack(made[1]).tolist(),
    }


def main():
    out = pathlib.Path(__file__).resolve().parents[2] / "crates/engraft/tests/fixtures/vectors"
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(encoding(), indent=1, ensure_ascii=False)
    (out / "encoding.json").write_text(text + "\n", encoding="utf-8")
    x = np.array([[1.5, -2.0, np.nan], [0.25, 3.0, 7.0], [8.0, 9.0, -1.0], [4.0, 5.5, 6.0]])
    arrays = {
        "f32": x.astype("<f4"),
        "f64_fortran": np.asfortranarray(x),
        "big_endian": x.astype(">f4"),
        "i16": np.nan_to_num(x).astype("<i2"),
        "u8": np.abs(np.nan_to_num(x)).astype("u1"),
        "bool": x > 2,
        "f16": x.astype("<f2"),
        "inf": np.array([[1.0, 2.0], [3.0, np.inf]]),
        "three_axes": np.zeros((2, 2, 2)),
        "complex": np.zeros((2, 2), dtype="<c8"),
        "labels_text": np.array(["cat", "dog", "cat", "ölf"]),
        "labels_int": np.array([0, 1, 1, 0]),
        "labels_number": np.array([0.5, np.nan, 2.25, 3.0]),
        "labels_set": np.array([[1, 0], [1, 1], [0, 0], [0, 1]]),
    }
    for name, array in arrays.items():
        np.save(out / f"{name}.npy", array)


if __name__ == "__main__":
    main()
