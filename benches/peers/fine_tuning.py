"""Fine-tunes torchvision's MobileNetV2 from a block on, as `engraft fit --depth STAGE` does it from its cache, and prints
JSON: seconds of every epoch and the accuracy on what was held out.

    python fine_tuning.py DATA WEIGHTS --from-block 14 --epochs 5

DATA has train/ and val/ with a folder per class. Batch norms keep their statistics, the head starts at a logistic regression
on the frozen features (LP-FT), AdamW with a rate for each block, cosine with warm-up. The frozen part runs in every epoch, as
the usual loop has it; pictures are decoded once, before the clock starts.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torchvision.models import mobilenet_v2

BATCH = 32


class Same(torch.nn.Module):
    """A convolution with TensorFlow's SAME padding."""

    def __init__(self, convolution):
        super().__init__()
        convolution.padding = (0, 0)
        self.convolution = convolution

    def forward(self, x):
        (kernel, stride), size = (self.convolution.kernel_size, self.convolution.stride), x.shape[2:]
        total = [max((math.ceil(n / s) - 1) * s + k - n, 0) for n, k, s in zip(size, kernel, stride)]
        x = torch.nn.functional.pad(x, (total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2))
        return self.convolution(x)


def padded(module):
    """Gives every convolution of more than one pixel SAME padding."""
    for name, child in module.named_children():
        if isinstance(child, torch.nn.Conv2d) and child.kernel_size != (1, 1):
            setattr(module, name, Same(child))
        else:
            padded(child)
    return module


def picture(path):
    image = Image.open(path).convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize([max(256, int(side * scale)) for side in image.size], Image.Resampling.BILINEAR)
    left, top = [round((side - 224) / 2) for side in image.size]
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), dtype=np.float32)
    return torch.from_numpy((pixels - 128) / 128).permute(2, 0, 1)


def split(folder):
    classes = sorted(place.name for place in folder.iterdir() if place.is_dir())
    paths = [(path, label) for label, name in enumerate(classes) for path in sorted((folder / name).iterdir())]
    return torch.stack([picture(path) for path, _ in paths]), torch.tensor([label for _, label in paths])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("weights")
    parser.add_argument("--from-block", type=int, default=14)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--channels-last", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    model = mobilenet_v2()
    model.load_state_dict(load_file(options.weights))
    net = padded(model.features).eval()
    (x, y), (held_x, held_y) = split(options.data / "train"), split(options.data / "val")
    if options.channels_last:
        net = net.to(memory_format=torch.channels_last)
        x, held_x = x.to(memory_format=torch.channels_last), held_x.to(memory_format=torch.channels_last)

    def features(pictures):
        return net(pictures).mean((2, 3))

    with torch.no_grad():
        frozen = torch.cat([features(x[at : at + BATCH]) for at in range(0, len(x), BATCH)])
    scaler = StandardScaler().fit(frozen.numpy())
    probe = LogisticRegression(C=1e-3, max_iter=1000).fit(scaler.transform(frozen.numpy()), y.numpy())
    classes = int(y.max()) + 1
    head = torch.nn.Linear(frozen.shape[1], classes)
    with torch.no_grad():
        # One row of a two-class solution is the difference of two.
        rows = probe.coef_ if classes > 2 else np.stack([-probe.coef_[0] / 2, probe.coef_[0] / 2])
        biases = probe.intercept_ if classes > 2 else np.array([-probe.intercept_[0] / 2, probe.intercept_[0] / 2])
        weight = rows / scaler.scale_
        head.weight.copy_(torch.tensor(weight, dtype=torch.float32))
        head.bias.copy_(torch.tensor(biases - weight @ scaler.mean_, dtype=torch.float32))
    groups = []
    for block, module in enumerate(net):
        learns = block >= options.from_block
        for parameter in module.parameters():
            parameter.requires_grad_(learns)
        if learns:
            matrices = [p for p in module.parameters() if p.dim() > 1]
            vectors = [p for p in module.parameters() if p.dim() == 1]
            lr = options.lr * 2.6 ** -(len(net) - 1 - block)
            groups += [{"params": matrices, "lr": lr}, {"params": vectors, "lr": lr, "weight_decay": 0.0}]
    groups += [{"params": [head.weight], "lr": options.lr * 10}, {"params": [head.bias], "lr": options.lr * 10, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.02)
    total = options.epochs * math.ceil(len(x) / BATCH)
    warmup = round(0.1 * total)

    def factor(step):
        return (step + 1) / warmup if step < warmup else 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    learning = [p for group in groups for p in group["params"]]
    seconds = []
    for _ in range(options.epochs):
        start = time.perf_counter()
        for batch in torch.randperm(len(x)).split(BATCH):
            optimiser.zero_grad(set_to_none=True)
            # Frozen blocks need no graph: nothing before the first learning one asks for a gradient.
            torch.nn.functional.cross_entropy(head(features(x[batch])), y[batch]).backward()
            torch.nn.utils.clip_grad_norm_(learning, 1.0)
            optimiser.step()
            schedule.step()
        seconds.append(time.perf_counter() - start)
    with torch.no_grad():
        answers = torch.cat([head(features(held_x[at : at + BATCH])) for at in range(0, len(held_x), BATCH)]).argmax(1)
    accuracy = (answers == held_y).float().mean().item()
    print(json.dumps({"epoch_seconds": seconds, "accuracy": accuracy, "pictures": len(x)}))


if __name__ == "__main__":
    main()
