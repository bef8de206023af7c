"""The job of `engraft fit` on photos with PyTorch and scikit-learn, for benches/photos.py to compare with.

    python benches/peers/photos.py DATA --weights MOBILENET_V2.safetensors [--workers 2] [--fuse] [--channels-last]

Reads CLASS/picture or train|val|test/CLASS/picture, decodes and resizes with Pillow, takes the 1280 pooled features of
a frozen MobileNetV2 (torchvision's tensor names, TensorFlow's SAME padding, input (byte - 128) / 128), chooses the
strength of a logistic regression by cross-validation, and measures out of fold and on the held-out splits.
Prints one JSON document. Needs torch, torchvision, safetensors, Pillow and scikit-learn.
"""

import os
import time

START = time.perf_counter()
# The folds of the search run in parallel already: threads of BLAS beside them would get in each other's way.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import json
import resource
import sys
from pathlib import Path

import joblib
import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.utils.data import DataLoader, Dataset
from torchvision.models import MobileNetV2

SIDE, SIZE, BATCH = 256, 224, 32
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
# The strengths that engraft tries: twelve from 1e-5 to 1e2.
STRENGTHS = [10 ** (-5 + 7 * i / 11) for i in range(12)]


def listing(root):
    """Classes, and for each split its (path, class) pairs."""
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    in_splits = bool(folders) and all(path.name.lower() in SPLITS for path in folders)
    roots = [(SPLITS[path.name.lower()], path) for path in folders] if in_splits else [("train", root)]
    found = [
        (split, folder.name, path)
        for split, place in roots
        for folder in sorted(place.iterdir())
        if folder.is_dir()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    classes = sorted({name for _, name, _ in found})
    splits = {}
    for split, name, path in found:
        splits.setdefault(split, []).append((path, classes.index(name)))
    return classes, splits


def prepare(path):
    """Upright RGB, the shorter side to 256, the centre 224 x 224: torchvision's arithmetic."""
    with Image.open(path) as image:
        image = ImageOps.exif_transpose(image).convert("RGB")
    w, h = image.size
    size = (SIDE, int(SIDE * h / w)) if w <= h else (int(SIDE * w / h), SIDE)
    image = image.resize(size, Image.BILINEAR)
    left, top = round((size[0] - SIZE) / 2), round((size[1] - SIZE) / 2)
    image = image.crop((left, top, left + SIZE, top + SIZE))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


class Photos(Dataset):
    """Bytes [3, 224, 224]; scaled after batching, so that workers hand over a quarter of the memory."""

    def __init__(self, paths):
        self.paths = paths

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return prepare(self.paths[index])


def network(weights, fuse, layout):
    """The stages up to the pooling, with TensorFlow's SAME padding: one row and column at the end at stride 2."""
    # Empty weights: drawing initial ones only to overwrite them would cost half a second.
    with torch.device("meta"):
        model = MobileNetV2()
    model.load_state_dict(load_file(weights), assign=True)
    features = model.features.eval()
    if fuse:
        fuse_norms(features)
    for module in features.modules():
        if isinstance(module, torch.nn.Conv2d) and module.stride == (2, 2):
            module.padding = (0, 0)
            module.register_forward_pre_hook(lambda _, x: torch.nn.functional.pad(x[0], (0, 1, 0, 1)))
    return features.to(memory_format=layout)


def fuse_norms(module):
    """Folds every batch norm into the convolution before it."""
    for child in module.children():
        fuse_norms(child)
    if isinstance(module, torch.nn.Sequential):
        for i in range(len(module) - 1):
            if isinstance(module[i], torch.nn.Conv2d) and isinstance(module[i + 1], torch.nn.BatchNorm2d):
                module[i] = torch.nn.utils.fusion.fuse_conv_bn_eval(module[i], module[i + 1])
                module[i + 1] = torch.nn.Identity()


def extract(model, paths, workers, layout):
    """Pooled features [pictures, 1280]."""
    rows = []
    with torch.inference_mode():
        for batch in DataLoader(Photos(paths), batch_size=BATCH, num_workers=workers):
            x = ((batch.float() - 128) / 128).contiguous(memory_format=layout)
            rows.append(model(x).mean((2, 3)))
    return torch.cat(rows).numpy()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--workers", type=int, default=0, help="processes that decode; 0: the main thread does")
    parser.add_argument("--fuse", action="store_true", help="fold the batch norms")
    parser.add_argument("--channels-last", action="store_true", help="keep maps in the order NHWC")
    parser.add_argument("--backend", choices=["threading", "loky"], default="threading", help="of the search's folds")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    seconds, mark = {}, START

    def lap(name):
        nonlocal mark
        now = time.perf_counter()
        seconds[name] = seconds.get(name, 0.0) + now - mark
        mark = now

    lap("imports")
    classes, splits = listing(args.data)
    model = network(args.weights, args.fuse, layout)
    lap("opening")
    x, y = {}, {}
    for split, pairs in splits.items():
        x[split] = extract(model, [path for path, _ in pairs], args.workers, layout)
        y[split] = np.array([label for _, label in pairs])
    lap("features")

    folds = min(args.folds, int(np.bincount(y["train"]).min()))
    cv = StratifiedKFold(folds, shuffle=True, random_state=0)
    search = make_pipeline(
        StandardScaler(),
        LogisticRegressionCV(
            Cs=STRENGTHS,
            l1_ratios=(0.0,),
            cv=cv,
            scoring="neg_log_loss",
            max_iter=1000,
            n_jobs=args.threads,
            use_legacy_attributes=False,
        ),
    )
    # Threads by default: for a few hundred pictures, starting worker processes takes longer than the whole search.
    with joblib.parallel_config(backend=args.backend):
        search.fit(x["train"], y["train"])
    strength = float(search[-1].C_)
    lap("training")
    # The search keeps the folds' scores but not their answers, so the five fits at the chosen strength are made again.
    # The choice has seen the folds that it is judged on here, which flatters a little.
    single = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
    with joblib.parallel_config(backend=args.backend):
        out_of_fold = cross_val_predict(single, x["train"], y["train"], cv=cv, n_jobs=args.threads)
    lap("out_of_fold")
    held_out = [
        {"split": split, "n": len(y[split]), "accuracy": accuracy_score(y[split], search.predict(x[split]))}
        for split in ("val", "test")
        if split in x
    ]
    lap("held_out")
    seconds["total"] = time.perf_counter() - START
    json.dump(
        {
            "classes": classes,
            "pictures": {split: len(labels) for split, labels in y.items()},
            "accuracy": accuracy_score(y["train"], out_of_fold),
            "held_out": held_out,
            "c": strength,
            "folds": folds,
            "workers": args.workers,
            "fuse": args.fuse,
            "channels_last": args.channels_last,
            "seconds": seconds,
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "versions": {"torch": torch.__version__, "sklearn": sys.modules["sklearn"].__version__},
        },
        sys.stdout,
    )
    print()


if __name__ == "__main__":
    main()
