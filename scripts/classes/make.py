"""Writes the lists of class names that cards refer to: assets/classes of the library.

    python scripts/classes/make.py DARKNET_LABELS OUT

ImageNet's names are torchvision's (BSD-3-Clause), in the order of its heads, which is that of the sorted WordNet
identifiers (timm's imagenet_synsets.txt). Darknet's heads have another order: DARKNET_LABELS lists its WordNet identifiers,
one a line (imagenet.labels.list of Darknet, public domain).
"""

import sys
from pathlib import Path

import timm.data
from torchvision.models._meta import _IMAGENET_CATEGORIES as NAMES

labels, out = Path(sys.argv[1]), Path(sys.argv[2])
synsets = (Path(timm.data.__file__).parent / "_info" / "imagenet_synsets.txt").read_text().split()
by_synset = dict(zip(synsets, NAMES, strict=True))
(out / "imagenet-1k.txt").write_text("\n".join(NAMES) + "\n")
(out / "imagenet-1k-darknet.txt").write_text("\n".join(by_synset[s] for s in labels.read_text().split()) + "\n")
cifar = "airplane automobile bird cat deer dog frog horse ship truck"
(out / "cifar-10.txt").write_text(cifar.replace(" ", "\n") + "\n")
