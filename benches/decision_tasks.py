"""Tasks to judge decisions on: small draws from labelled images and texts, with all that is left as a test part.

Every set is a list of examples of `text_sets`, whose text is the path of an image where there are images. Draws are by hashes, so that they
hang on no order of files and no generator. The tasks are in two halves: constants are set on the first ("set") and checked on the second ("check").
"""

import csv
import gzip
import hashlib
import io
import os
import random
import struct
import tarfile
import xml.etree.ElementTree as xml
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import text_sets
from depths import CLASSES, png
from text_sets import Example, by_class, drawn

MOST_TESTED = 1500
POOL = 260
TEXT_POOL = 600
LONGEST = 2000


@dataclass(frozen=True)
class Task:
    """Where its examples come from, the half it belongs to, and the flags that its fits have."""

    name: str
    kind: str
    half: str
    make: object
    flags: tuple = ()
    classes: tuple = ()


def write(folder, label, number, data, ending):
    place = folder / label
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{number:05}.{ending}"
    path.write_bytes(data)
    return Example(str(path), label)


def idx(source, names):
    """The first POOL images of each class of the IDX files of a folder."""

    def make(data, folder):
        taken, found = defaultdict(int), []
        for images in sorted((data / source).glob("*images*idx3*.gz")):
            labels = Path(str(images).replace("images", "labels").replace("idx3", "idx1"))
            pixels, numbers = gzip.open(images).read()[16:], gzip.open(labels).read()[8:]
            for index, label in enumerate(numbers):
                if taken[label] < POOL:
                    taken[label] += 1
                    found.append(write(folder, names[label], index, png(pixels[index * 784 : (index + 1) * 784], 28, 28), "png"))
        return found

    return make


def archive(path, split):
    """Images of an archive: `split` says the label of a member's name, or nothing."""

    def make(data, folder):
        found = []
        with tarfile.open(data / path) as members:
            for member in members:
                label = split(member.name) if member.isfile() else None
                if label:
                    ending = member.name.rsplit(".", 1)[-1].lower()
                    found.append(write(folder, label, len(found), members.extractfile(member).read(), ending))
        return found

    return make


def cells(data, folder):
    """Cells cut out of photos of blood, by their boxes."""
    from PIL import Image

    files = {}
    with tarfile.open(data / "images/bccd.tar.gz") as members:
        for member in members:
            if member.isfile() and ("/Annotations/" in member.name or "/JPEGImages/" in member.name):
                files[member.name] = members.extractfile(member).read()
    found, taken = [], defaultdict(int)
    for name in sorted(name for name in files if "/Annotations/" in name):
        photo = Image.open(io.BytesIO(files[name.replace("/Annotations/", "/JPEGImages/").replace(".xml", ".jpg")])).convert("RGB")
        for box in xml.fromstring(files[name]).iter("object"):
            label = box.find("name").text
            left, top, right, bottom = (int(box.find("bndbox").find(side).text) for side in ("xmin", "ymin", "xmax", "ymax"))
            if right - left < 12 or bottom - top < 12 or taken[label] >= POOL:
                continue
            taken[label] += 1
            out = io.BytesIO()
            photo.crop((left, top, right, bottom)).resize((64, 64)).save(out, "png")
            found.append(write(folder, label, len(found), out.getvalue(), "png"))
    return found


def usps(data, folder):
    """Digits of addresses, 16 x 16 (a MATLAB file: needs SciPy). Its class 10 is the digit 0."""
    from scipy.io import loadmat

    file = loadmat(data / "usps/USPS.mat")
    found, taken = [], defaultdict(int)
    for number, (pixels, label) in enumerate(zip(file["fea"], file["gnd"].ravel())):
        if taken[int(label)] < POOL:
            taken[int(label)] += 1
            found.append(write(folder, str(int(label) % 10), number, png(pixels.tobytes(), 16, 16), "png"))
    return found


def texts(name):
    def make(data, _folder):
        train, test = text_sets.read(name, data / "text")
        pools = [drawn(members, "pool")[:TEXT_POOL] for members in by_class(train + test)]
        return [Example(example.text[:LONGEST], example.label) for members in pools for example in members]

    return make


def flower(name):
    parts = name.split("/")
    return parts[1] if len(parts) > 2 else None


def insect(name):
    parts = name.split("/")
    return parts[-2] if parts[-2] in ("ants", "bees") else None


SMALL = ("--image-size", "96")
PHOTO = ("--image-size", "128")
FLOWERS = archive("images/flowers5_128px.tar.gz", flower)
TASKS = [
    Task("flowers", "images", "set", FLOWERS, PHOTO),
    Task("fashion", "images", "set", idx("fashion_mnist", CLASSES), SMALL),
    Task("digits", "images", "set", idx("mnist", [str(digit) for digit in range(10)]), SMALL),
    Task("ants-bees", "images", "check", archive("images/hymenoptera.tar", insect), PHOTO),
    Task("cells", "images", "check", cells, SMALL),
    Task("usps", "images", "check", usps, SMALL),
    Task("rose-tulip", "images", "check", FLOWERS, PHOTO, ("rose", "tulip")),
    Task("shirts", "images", "check", idx("fashion_mnist", CLASSES), SMALL, ("t-shirt", "pullover", "coat", "shirt")),
    Task("restaurants", "texts", "set", texts("restaurants")),
    Task("trec", "texts", "set", texts("trec")),
    Task("subjectivity", "texts", "set", texts("subjectivity")),
    Task("movies", "texts", "check", texts("movies")),
    Task("products", "texts", "check", texts("products")),
    Task("polarity", "texts", "check", texts("sentence_polarity")),
    Task("newsgroups", "texts", "check", texts("newsgroups")),
]


def pool(task, data, folder):
    """All examples of a task, made once."""
    index = folder / f"{task.name}.csv"
    if not index.is_file():
        made = folder / task.name
        made.mkdir(parents=True, exist_ok=True)
        examples = [example for example in task.make(data, made) if not task.classes or example.label in task.classes]
        with open(index, "w", newline="", encoding="utf-8") as out:
            csv.writer(out, lineterminator="\n").writerows([example.text, example.label] for example in examples)
    with open(index, newline="", encoding="utf-8") as source:
        return [Example(*row) for row in csv.reader(source)]


def draw(task, examples, size, seed):
    """Train and test. `60` is sixty, of each class as many as its share; `20c` is twenty of each class, and the test part is as
    even; `9r2` the same, but two of the first class."""
    classes = by_class(examples)
    usual, _, rare = size.rstrip("c").partition("r")
    fewest = min(map(len, classes)) - int(usual)
    train, rest = [], []
    for place, members in enumerate(classes):
        label = members[0].label
        members = drawn(members, f"{task.name} {seed}")
        if size.isdigit():
            # Fractions of an example are drawn for, so that the sizes are right on average.
            share = int(size) * len(members) / len(examples)
            count, limit = max(2, int(share + random.Random(f"{task.name} {seed} {label}").random())), None
        else:
            count, limit = int(rare) if rare and place == 0 else int(usual), fewest
        train += members[:count]
        rest += members[count:][:limit]
    return drawn(train, "order"), drawn(rest, f"test {seed}")[:MOST_TESTED]


def table(task, train, test, path):
    """The draw as a CSV that `engraft fit` reads."""
    column = "path" if task.kind == "images" else "text"
    with open(path, "w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([column, "label", "split"])
        for split, examples in (("train", train), ("test", test)):
            for example in examples:
                writer.writerow([os.path.abspath(example.text) if task.kind == "images" else example.text, example.label, split])
