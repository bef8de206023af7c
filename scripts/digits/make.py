#!/usr/bin/env python3
"""Write the optical handwritten digits as a folder of PNGs per class.

Needs scikit-learn (which carries the data) and pillow:

    python3 scripts/digits/make.py

Makes `train/<digit>/` with 20 pictures of each digit, drawn by a fixed
permutation, and `test/<digit>/` with all the others, in `examples/digits`.
"""

import pathlib
import shutil

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

SEED = 0
TRAIN_PER_CLASS = 20


def main():
    here = pathlib.Path(__file__).resolve().parents[2] / "examples" / "digits"
    digits = load_digits()
    # 0..16 to 0..255, halves rounded up: integers only, so the same anywhere.
    levels = digits.images.astype(np.int64)
    pixels = ((levels * 255 * 2 + 16) // 32).astype(np.uint8)

    order = np.random.RandomState(SEED).permutation(len(pixels))
    taken = {digit: 0 for digit in range(10)}
    for part in ("train", "test"):
        shutil.rmtree(here / part, ignore_errors=True)
        for digit in taken:
            (here / part / str(digit)).mkdir(parents=True)

    for index in order:
        digit = int(digits.target[index])
        part = "train" if taken[digit] < TRAIN_PER_CLASS else "test"
        taken[digit] += 1
        path = here / part / str(digit) / f"{digit}_{index:04d}.png"
        Image.fromarray(pixels[index]).save(path, optimize=True)


if __name__ == "__main__":
    main()
