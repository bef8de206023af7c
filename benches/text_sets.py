"""The labelled texts of a folder of test data, and tables of them to learn from: text, label, split.

A text that occurs twice is kept once, one with two labels not at all, an empty one neither, so that no text is learnt from and
measured on. Where a split is given its test part stays whole but for empty texts, and what is in it is not learnt from.
Elsewhere a fifth of every class is the test part. What is drawn is drawn by hashes of the texts, so that it hangs on no order of
files and no generator.
"""

import csv
import hashlib
import io
import re
import tarfile
import zipfile
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

SIZES = ("8", "64", "all")
TEST_SHARE = 0.2
DOMAINS = {"restaurants": "yelp_labelled.txt", "movies": "imdb_labelled.txt", "products": "amazon_cells_labelled.txt"}


@dataclass(frozen=True)
class Example:
    """A text under its label; `split` is train, test, or empty where none is given."""

    text: str
    label: str
    split: str = ""


def decoded(raw):
    """Text of bytes: UTF-8, or else Latin-1."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def clean(text):
    """On one line: without control characters, one space between words."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def zipped(path):
    """Name and text of every file of a ZIP archive."""
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if not name.endswith("/"):
                yield name, decoded(archive.read(name))


def tarred(path):
    """Name and bytes of every file of a TAR archive."""
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile():
                yield member.name, archive.extractfile(member).read()


def movie_reviews(data):
    """Pang and Lee's 2,000 long reviews (2004)."""
    names = {"neg": "negative", "pos": "positive"}
    files = (([*name.split("/"), ""], text) for name, text in zipped(data / "movie_reviews.zip"))
    return [Example(text, names[parts[1]]) for parts, text in files if parts[1] in names]


def lines_of(path, labels):
    """A set that has a file of lines for each label."""
    files = {name.split("/")[-1]: text for name, text in zipped(path)}
    return [Example(line, label) for name, label in labels.items() for line in files[name].split("\n")]


def sentence_polarity(data):
    """Pang and Lee's 10,662 sentences of reviews (2005)."""
    return lines_of(data / "sentence_polarity.zip", {"rt-polarity.neg": "negative", "rt-polarity.pos": "positive"})


def subjectivity(data):
    """Pang and Lee's 10,000 sentences, of reviews and of plots (2004)."""
    return lines_of(data / "subjectivity.zip", {"quote.tok.gt9.5000": "subjective", "plot.tok.gt9.5000": "objective"})


def trec(data):
    """Li and Roth's questions (2002), by the six coarse classes."""
    examples = []
    for name, text in zipped(data / "qc.zip"):
        split = Path(name).stem
        if split in ("train", "test"):
            rows = [line.partition(" ") for line in text.split("\n") if ":" in line]
            examples += [Example(question, label.partition(":")[0], split) for label, _, question in rows]
    return examples


def domain(data, name):
    """1,000 sentences of Kotzias et al. (2015). One line has spaces where the others have a tab."""
    files = {member: decoded(raw) for member, raw in tarred(data / "sentiment_labelled_sentences.tar.gz")}
    rows = [re.fullmatch(r"(.*\S)\s+([01])\s*", line, re.DOTALL) for line in files[DOMAINS[name]].split("\n") if line]
    return [Example(row[1], ("negative", "positive")[int(row[2])]) for row in rows]


QUOTE = re.compile(r"(writes in|writes:|wrote:|says:|said:|^In article|^Quoted from|^\||^>)")


def body(post):
    """A post without headers, footer and quotes: what remove=("headers", "footers", "quotes") of scikit-learn leaves."""
    text = post.partition("\n\n")[2]
    lines = text.strip().split("\n")
    ends = [at for at, line in enumerate(lines) if not line.strip().strip("-")]
    if ends and ends[-1] > 0:
        text = "\n".join(lines[: ends[-1]])
    return "\n".join(line for line in text.split("\n") if not QUOTE.search(line))


def newsgroups(data):
    """Lang's posts to 20 groups, split by their dates. Some copies of the archive have tabs for the ends of lines in one part."""
    examples = []
    for name, raw in tarred(data / "20news-bydate.tar.xz"):
        folder, group, number = name.split("/")
        if number.isdigit():  # A copy of a post, 54473-o, is in some archives.
            post = raw.decode("latin-1")
            if "\n" not in post.rstrip("\n"):
                post = post.replace("\t", "\n")
            examples.append(Example(body(post), group, folder.rpartition("-")[2]))
    return examples


SOURCES = {
    "restaurants": lambda data: {"": domain(data, "restaurants")},
    "movies": lambda data: {"": domain(data, "movies")},
    "products": lambda data: {"": domain(data, "products")},
    "three_domains": lambda data: {name: domain(data, name) for name in DOMAINS},
    "trec": lambda data: {"": trec(data)},
    "sentence_polarity": lambda data: {"": sentence_polarity(data)},
    "subjectivity": lambda data: {"": subjectivity(data)},
    "movie_reviews": lambda data: {"": movie_reviews(data)},
    "newsgroups": lambda data: {"": newsgroups(data)},
}


def drawn(examples, purpose):
    """The examples in an order drawn for a purpose."""
    return sorted(examples, key=lambda example: hashlib.sha256(f"{purpose}\n{example.text}".encode()).digest())


def by_class(examples):
    """The examples of each label, labels in order."""
    classes = defaultdict(list)
    for example in examples:
        classes[example.label].append(example)
    return [classes[label] for label in sorted(classes)]


def once(examples):
    """Every text once, in the order of the first; a text with two labels and an empty text not at all."""
    labels = defaultdict(set)
    for example in examples:
        labels[example.text].add(example.label)
    first = {example.text: example for example in examples if example.text and len(labels[example.text]) == 1}
    return list(first.values())


def parts(examples):
    """Train and test."""
    examples = [Example(clean(example.text), example.label, example.split) for example in examples]
    if any(example.split for example in examples):
        test = [example for example in examples if example.split == "test" and example.text]
        measured = {example.text for example in test}
        train = [example for example in examples if example.split == "train" and example.text not in measured]
        return once(train), test
    train, test = [], []
    for members in by_class(once(examples)):
        members = drawn(members, "test")
        count = round(TEST_SHARE * len(members))
        test += members[:count]
        train += members[count:]
    return train, test


def read(name, data):
    """Train and test of a set. A set of several domains is the sum of their parts."""
    train, test = [], []
    for examples in SOURCES[name](data).values():
        more_train, more_test = parts(examples)
        train += more_train
        test += more_test
    measured = {example.text for example in test}
    return once([example for example in train if example.text not in measured]), test


def few(train, count, seed):
    """`count` of every class."""
    return [example for members in by_class(train) for example in drawn(members, f"train {count} {seed}")[:count]]


def table(train, test):
    """The rows as CSV. The training part is in an order drawn once, not by class."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["text", "label", "split"])
    for split, examples in (("train", drawn(train, "order")), ("test", test)):
        writer.writerows([example.text, example.label, split] for example in examples)
    return out.getvalue()


def file_of(folder, name, size, seed):
    """The table of a set, size and seed; all seeds learn from the same `all`."""
    return Path(folder) / name / ("all.csv" if size == "all" else f"{size}-{seed}.csv")


def make(name, data, out, seeds):
    """Writes the tables of a set and returns a line about it."""
    train, test = read(name, Path(data))
    counts = Counter(example.label for example in train)
    for size in SIZES:
        for seed in range(1 if size == "all" else seeds):
            chosen = train if size == "all" else few(train, int(size), seed)
            path = file_of(out, name, size, seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(table(chosen, test), encoding="utf-8", newline="")
    words = sum(len(example.text.split()) for example in test) / len(test)
    return f"| {name} | {len(counts)} | {len(train)} | {min(counts.values())} | {len(test)} | {words:.0f} |"
