"""Makes the data of the examples: reviews, cars, a table of few digits, and word vectors of old books.

    python3 scripts/examples/make.py BOOKS.txt.xz

BOOKS is a plain text in English (Project Gutenberg's, in the public domain). Needs numpy and scipy. The vectors are the singular
vectors of positive pointwise mutual information (Levy and Goldberg 2014, "Neural word embedding as implicit matrix factorization"),
columns weighted by the square root of their singular values. Reviews and cars are made up.
"""

import csv
import lzma
import random
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import svds

OUT = Path(__file__).resolve().parents[2] / "examples"
GOOD = "good great happy beautiful pleasant excellent delightful charming kind perfect".split()
BAD = "bad terrible poor miserable dreadful wretched horrible cruel dull dirty".split()
WHAT = "dinner room house garden wine bed company table fire view".split()
SHAPES = [
    "the {what} was {how}",
    "{how} {what} and {how2} people",
    "we had a very {how} {what} there",
    "what a {how} place , the {what} was {how2} too",
    "my wife thought the {what} {how}",
    "I never saw such a {how} {what}",
]


def reviews(stream):
    with (OUT / "reviews.csv").open("w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["review", "opinion", "split"])
        for at in range(120):
            label, words = ("good", GOOD) if at % 2 == 0 else ("bad", BAD)
            how, how2 = stream.sample(words, 2)
            text = SHAPES[stream.randrange(len(SHAPES))].format(what=stream.choice(WHAT), how=how, how2=how2)
            out.writerow([text, label, "test" if at >= 40 else "train"])


def cars(stream):
    with (OUT / "cars.csv").open("w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["power", "age", "fuel", "town", "price", "split"])
        for at in range(200):
            power, age = stream.randrange(60, 200), stream.randrange(20)
            fuel, town = stream.choice(["petrol", "diesel", "electric"]), stream.choice(["Bonn", "Kiel", "Ulm"])
            price = 5 + 0.2 * power - 0.9 * age + 8 * (fuel == "electric") + stream.gauss(0, 1.5)
            known = "" if stream.random() < 0.1 else age
            out.writerow([power, known, fuel, town, f"{price:.1f}", "test" if at >= 100 else "train"])


def few_digits(each):
    """The digits with few of each to train on: the first by name."""
    with (OUT / "few_digits.csv").open("w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["path", "label", "split"])
        for split, most in [("train", each), ("test", None)]:
            for folder in sorted((OUT / "digits" / split).iterdir()):
                for image in sorted(folder.iterdir())[:most]:
                    out.writerow([image.relative_to(OUT), folder.name, split])


def vectors(books, words=700, columns=20, window=5):
    with lzma.open(books, "rt", encoding="utf-8") as file:
        tokens = re.findall(r"[a-z]+", file.read(60_000_000).lower())
    wanted = {*GOOD, *BAD, *WHAT}
    counts = Counter(tokens)
    kept = [word for word, _ in counts.most_common(words)]
    kept += sorted(wanted - set(kept))
    index = {word: at for at, word in enumerate(kept)}
    ids = np.array([index.get(token, -1) for token in tokens])
    n = len(kept)
    together = coo_matrix((n, n))
    for apart in range(1, window + 1):
        left, right = ids[:-apart], ids[apart:]
        both = (left >= 0) & (right >= 0)
        one = coo_matrix((np.full(both.sum(), 1 / apart), (left[both], right[both])), shape=(n, n))
        together = (together + one + one.T).tocoo()
    total = together.sum()
    rows = np.asarray(together.sum(axis=1)).ravel()
    smoothed = rows**0.75 / (rows**0.75).sum()
    pmi = np.log(together.data * 1.0 / total / (rows[together.row] / total * smoothed[together.col]))
    ppmi = coo_matrix((np.maximum(pmi, 0), (together.row, together.col)), shape=(n, n)).tocsr()
    u, s, _ = svds(ppmi, k=columns, v0=np.ones(n), random_state=0)
    table = u * np.sqrt(s)
    with (OUT / "words.txt").open("w") as file:
        for word, row in zip(kept, table):
            file.write(word + " " + " ".join(f"{value:.2f}" for value in row) + "\n")


if __name__ == "__main__":
    reviews(random.Random(1))
    cars(random.Random(2))
    few_digits(5)
    vectors(sys.argv[1])
