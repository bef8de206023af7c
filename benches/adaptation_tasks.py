"""Pairs of domains with one task, and draws of them: a source, and targets of several class shares.

Every domain is a list of examples of `text_sets`, whose text is a text, the path of an image, or the cells of a row with commas between
them. A pair belongs to one of two halves, by turns in the order of their names within each kind: constants were set on the first ("set") and
are checked on the second ("check"). Draws are by hashes, so that they hang on no order of files and no generator.
"""

import csv
import gzip
import io
import random
import re
import struct
import tarfile
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import text_sets
from PIL import Image, ImageFilter
from text_sets import Example

MOST = 1000
DIGITS = 200
FLOWERS = 120
POSTS = 200
LONGEST = 500
HOSPITALS = {
    "cleveland": "processed.cleveland.data",
    "hungary": "reprocessed.hungarian.data",
    "switzerland": "processed.switzerland.data",
    "va": "processed.va.data",
}
HEART = "age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,slope,ca,thal"
WINE = (
    "fixed acidity,volatile acidity,citric acid,residual sugar,chlorides,free sulfur dioxide,total sulfur dioxide,density,pH,sulphates,alcohol"
)
PIXELS = ",".join(f"p{at}" for at in range(256))
CHANGES = ("blurred", "grey", "jpeg")
# The subgroups of 20 newsgroups of each domain, as the classic splits have them.
NEWS = {
    "comp-sci": (
        "comp.graphics comp.os.ms-windows.misc sci.crypt sci.electronics",
        "comp.sys.ibm.pc.hardware comp.sys.mac.hardware comp.windows.x sci.med sci.space",
    ),
    "rec-talk": (
        "rec.autos rec.motorcycles talk.politics.guns talk.politics.misc",
        "rec.sport.baseball rec.sport.hockey talk.politics.mideast talk.religion.misc",
    ),
    "rec-sci": (
        "rec.autos rec.sport.baseball sci.med sci.space",
        "rec.motorcycles rec.sport.hockey sci.crypt sci.electronics",
    ),
    "sci-talk": (
        "sci.electronics sci.med talk.politics.misc talk.religion.misc",
        "sci.crypt sci.space talk.politics.guns talk.politics.mideast",
    ),
}


@dataclass(frozen=True)
class Pair:
    """A source and a target. `header` is that of a table of rows; none for texts, `path` for images."""

    name: str
    kind: str
    header: str
    source: str
    target: str

    @property
    def half(self):
        names = sorted(pair.name for pair in PAIRS if pair.kind == self.kind)
        return ("set", "check")[names.index(self.name) % 2]


def pairs():
    for source in text_sets.DOMAINS:
        for target in text_sets.DOMAINS:
            if source != target:
                yield Pair(f"{source}>{target}", "sentiment", "text", source, target)
    for name in NEWS:
        yield Pair(name, "news", "text", f"news/{name}/0", f"news/{name}/1")
        yield Pair(f"{name}-back", "news", "text", f"news/{name}/1", f"news/{name}/0")
    for source, target in [("mnist", "usps"), ("usps", "mnist")]:
        yield Pair(f"{source}>{target}", "digits", PIXELS, source, target)
    for source, target in [("red", "white"), ("white", "red")]:
        yield Pair(f"{source}>{target}", "wine", WINE, source, target)
    for source in HOSPITALS:
        for target in HOSPITALS:
            if source != target:
                yield Pair(f"{source}>{target}", "heart", HEART, source, target)
    for change in CHANGES:
        yield Pair(f"flowers>{change}", "photos", "path", "flowers/plain", f"flowers/{change}")
        yield Pair(f"{change}>flowers", "photos", "path", f"flowers/{change}", "flowers/plain")


PAIRS = list(pairs())


def domain(name, data, folder):
    """The examples of a domain, made once."""
    text = data / "text"
    if name in text_sets.DOMAINS:
        return text_sets.domain(text, name)
    if name.startswith("news/"):
        _, topic, part = name.split("/")
        groups = NEWS[topic][int(part)].split()
        found = defaultdict(list)
        for example in newsgroups(text, folder):
            if example.label in groups and len(found[example.label]) < POSTS:
                found[example.label].append(Example(example.text, example.label.split(".")[0]))
        return [example for group in groups for example in found[group]]
    if name == "mnist":
        return rows(mnist(data))
    if name == "usps":
        return rows(usps(data))
    if name in ("red", "white"):
        lines = (data / f"tabular/winequality-{name}.csv").read_text().strip().split("\n")
        cells = [line.replace(";", ",").rsplit(",", 1) for line in lines if line[0].isdigit()]
        return [Example(row, "good" if float(quality) >= 6 else "poor") for row, quality in cells]
    if name in HOSPITALS:
        return hospital(data / "tabular" / HOSPITALS[name])
    if name.startswith("flowers/"):
        return photos(data, folder, name.split("/")[1])
    raise KeyError(name)


def newsgroups(text, folder):
    kept = folder / "posts.csv"
    if not kept.exists():
        posts = [Example(text_sets.clean(example.text)[:LONGEST], example.label) for example in text_sets.newsgroups(text)]
        with kept.open("w", newline="") as file:
            csv.writer(file).writerows([example.text, example.label] for example in posts if len(example.text) >= 40)
    with kept.open(newline="") as file:
        return [Example(*row) for row in csv.reader(file)]


def rows(examples):
    return [Example(",".join(f"{value:.4f}" for value in np.ravel(pixels)), f"d{label}") for pixels, label in examples]


def idx(path):
    raw = gzip.open(path).read()
    shape = struct.unpack(">" + "I" * raw[3], raw[4 : 4 + 4 * raw[3]])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def mnist(data):
    """Digits cut to their box of 20 pixels and brought to 16, as those of USPS are."""
    images, labels = idx(data / "mnist/train-images-idx3-ubyte.gz"), idx(data / "mnist/train-labels-idx1-ubyte.gz")
    taken = defaultdict(int)
    for image, label in zip(images, labels):
        if taken[label] == DIGITS:
            continue
        taken[label] += 1
        down, across = np.where(image > 0)
        cut = image[down.min() : down.max() + 1, across.min() : across.max() + 1]
        side = max(20, *cut.shape)
        box = np.zeros((side, side), np.uint8)
        top, left = (side - cut.shape[0]) // 2, (side - cut.shape[1]) // 2
        box[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
        yield np.asarray(Image.fromarray(box).resize((16, 16), Image.BILINEAR)) / 255, label


def usps(data):
    from scipy.io import loadmat

    file = loadmat(data / "usps/USPS.mat")
    taken = defaultdict(int)
    for pixels, label in zip(file["fea"].astype(float), file["gnd"].ravel().astype(int) - 1):
        if taken[label] < DIGITS:
            taken[label] += 1
            yield pixels / (255 if file["fea"].max() > 1.5 else 1), label


def hospital(path):
    found = []
    for line in path.read_text().strip().split("\n"):
        cells = line.split(",")
        if not cells[0][0].isdigit():
            continue
        row = ["" if cell in ("?", "-9", "-9.0") else str(float(cell)) for cell in cells[:13]]
        sick = cells[-1] == "'present'" if "'" in cells[-1] else float(cells[-1]) > 0
        found.append(Example(",".join(row), "sick" if sick else "well"))
    return found


def photos(data, folder, change):
    """Flowers, and the same flowers blurred, grey or as JPEG of quality 10: source and target never share a photo."""
    place, found, taken = folder / "flowers" / change, [], defaultdict(int)
    place.mkdir(parents=True, exist_ok=True)
    with tarfile.open(data / "images/flowers5_128px.tar.gz") as archive:
        for member in archive:
            parts = member.name.split("/")
            if not member.isfile() or not member.name.lower().endswith(".jpg") or parts[-1].startswith("."):
                continue
            label = parts[-2]
            taken[label] += 1
            # Every other photo is one of the plain domain.
            if taken[label] > 2 * FLOWERS or (taken[label] % 2 == 0) != (change == "plain"):
                continue
            path = place / f"{label}{taken[label]:04}.{'jpg' if change == 'jpeg' else 'png'}"
            if not path.exists():
                image = Image.open(io.BytesIO(archive.extractfile(member).read())).convert("RGB")
                if change == "blurred":
                    image = image.filter(ImageFilter.GaussianBlur(2.5))
                if change == "grey":
                    image = image.convert("L").convert("RGB")
                image.save(path, **({"quality": 10} if change == "jpeg" else {}))
            found.append(Example(str(path), label))
    return found


def shares_of(examples):
    counts = defaultdict(int)
    for example in examples:
        counts[example.label] += 1
    return {label: count / len(examples) for label, count in sorted(counts.items())}


def drawn(pair, number, how, data, folder):
    """A source of four fifths of its domain and a target whose class shares are `as they are`, `same` as the source's, or `skewed-0`
    or `skewed-1` (80/20 and 20/80 of two classes; random shares of more). None where the domain is too small."""
    stream = random.Random(f"{pair.name}/{number}/source")
    examples = domain(pair.source, data, folder)
    source = sorted(stream.sample(examples, min(MOST, len(examples) * 4 // 5)), key=lambda it: (it.text, it.label))
    stream = random.Random(f"{pair.name}/{number}/{how}")
    examples = domain(pair.target, data, folder)
    if how == "as they are":
        return source, stream.sample(examples, min(MOST, len(examples) * 4 // 5))
    by_class = defaultdict(list)
    for example in examples:
        by_class[example.label].append(example)
    shares = shares_of(source)
    if how != "same":
        names = sorted(shares)
        if len(names) == 2:
            shares = dict(zip(names, (0.8, 0.2) if how == "skewed-0" else (0.2, 0.8)))
        else:
            weights = [stream.gammavariate(2.0, 1.0) for _ in names]
            shares = {name: weight / sum(weights) for name, weight in zip(names, weights)}
    count = min(MOST, *(int(len(by_class[name]) * 0.95 / share) for name, share in shares.items() if share > 0))
    if count < 40:
        return None
    return source, [example for name, share in shares.items() for example in stream.sample(by_class[name], max(1, round(share * count)))]


def table(pair, examples, path):
    """Examples as a table with a column of labels."""
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow([*pair.header.split(","), "class"])
        for example in examples:
            cells = example.text.split(",") if "," in pair.header else [example.text]
            out.writerow([*cells, example.label])
