"""One peer at one row of compare.py: a worker that does engraft's work in PyTorch, ONNX Runtime or OpenVINO.

    python benches/peers/speed.py ROW --variant eager [--threads 2] [--seconds 2]

compare.py starts it and describes the lines that it speaks. Weights and inputs are random, in f32.

Needs torch and torchvision; pretrainedmodels and six (which it imports but does not ask for) for NASNet, onnx and
onnxruntime for the variant onnxruntime, onnx and openvino for the variant openvino, a C++ compiler for the variant compile.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import torch

# The first step of an optimiser imports this (sympy and more): here, so that it does not count as memory of the work.
import torch._dynamo
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from compare import ROWS, Row

WARM_UP, LEAST = 2, 3
CLASSES = 1000
# The shape of the LSTM: width of input and state, layers, steps.
LSTM_WIDTH, LSTM_LAYERS, LSTM_STEPS = 512, 2, 30

Step = Callable[[], object]


@dataclass(frozen=True)
class Shape:
    """The shape of a transformer's encoder."""

    layers: int
    width: int
    heads: int
    between: int
    tokens: int
    norm_first: bool
    epsilon: float


ENCODERS = {
    "minilm": Shape(6, 384, 12, 1536, 64, norm_first=False, epsilon=1e-12),
    "vit_s": Shape(12, 384, 6, 1536, 197, norm_first=True, epsilon=1e-6),
}


class EncoderLayer(nn.Module):
    """A block: the norms stand after the sums, as in BERT, or before attention and linear layers, as in image transformers."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.query, self.key, self.value, self.output = (nn.Linear(shape.width, shape.width) for _ in range(4))
        self.attention_norm = nn.LayerNorm(shape.width, eps=shape.epsilon)
        self.widen = nn.Linear(shape.width, shape.between)
        self.narrow = nn.Linear(shape.between, shape.width)
        self.output_norm = nn.LayerNorm(shape.width, eps=shape.epsilon)

    def forward(self, hidden: Tensor) -> Tensor:
        """Hidden states [batch, tokens, width] to the same."""
        if self.shape.norm_first:
            hidden = hidden + self.mix(self.attention_norm(hidden))
            return hidden + self.widen_and_narrow(self.output_norm(hidden))
        hidden = self.attention_norm(hidden + self.mix(hidden))
        return self.output_norm(hidden + self.widen_and_narrow(hidden))

    def mix(self, hidden: Tensor) -> Tensor:
        """Attention and the layer after it."""
        heads = (self.split_heads(part(hidden)) for part in (self.query, self.key, self.value))
        return self.output(functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))

    def widen_and_narrow(self, hidden: Tensor) -> Tensor:
        """The two linear layers."""
        return self.narrow(functional.gelu(self.widen(hidden)))

    def split_heads(self, projected: Tensor) -> Tensor:
        """[batch, tokens, width] to [batch, heads, tokens, width of a head]."""
        return projected.unflatten(2, (self.shape.heads, self.shape.width // self.shape.heads)).transpose(1, 2)


def encoder(name: str) -> nn.Module:
    """An encoder without its embeddings."""
    return nn.Sequential(*(EncoderLayer(ENCODERS[name]) for _ in range(ENCODERS[name].layers)))


def hidden_states(row: Row) -> Tensor:
    """An input of the encoder."""
    return torch.randn(row.batch, ENCODERS[row.model].tokens, ENCODERS[row.model].width)


def image_model(name: str) -> nn.Module:
    """A network with random weights and its classifier."""
    if name == "nasnet_mobile":
        import pretrainedmodels

        return pretrainedmodels.nasnetamobile(num_classes=CLASSES, pretrained=None)
    if name == "inception_v3":
        return torchvision.models.inception_v3(weights=None, aux_logits=False, init_weights=False)
    return torchvision.models.get_model(name, weights=None, num_classes=CLASSES)


def images(row: Row) -> Tensor:
    """A batch in the size that the network takes."""
    side = 299 if row.model == "inception_v3" else 224
    return torch.randn(row.batch, 3, side, side)


def drop_classifier(model: nn.Module) -> None:
    """Leaves the pooled features as the output."""
    name = next(name for name in ("fc", "classifier", "last_linear") if hasattr(model, name))
    setattr(model, name, nn.Identity())


def settle_norms(model: nn.Module, batch: Tensor) -> None:
    """Gives the batch norms the statistics of a batch.

    With those of a new network the values shrink from layer to layer, in a deep one towards denormal numbers, and
    arithmetic on these is slow: no trained network behaves like that.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    model.train()
    with torch.no_grad():
        model(torch.randn(4, *batch.shape[1:]))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def forward_step(model: nn.Module, batch: Tensor, variant: str) -> Step:
    """The output of a network that does not learn."""
    model.eval()
    if variant == "onnxruntime":
        return onnxruntime_step(model, batch)
    if variant == "openvino":
        return openvino_step(model, batch)
    model, batch = prepare(model, batch, variant)

    def step() -> Tensor:
        with torch.inference_mode():
            return model(batch)

    return step


def prepare(model: nn.Module, batch: Tensor, variant: str) -> tuple[nn.Module, Tensor]:
    """The model and its input the way that the variant wants them."""
    if variant == "channels_last":
        return model.to(memory_format=torch.channels_last), batch.to(memory_format=torch.channels_last)
    return (torch.compile(model) if variant == "compile" else model), batch


def exported(model: nn.Module, batch: Tensor, folder: str) -> Path:
    """The model in an ONNX file."""
    path = Path(folder) / "model.onnx"
    # The old exporter, which needs no further package, and says every time that it is old.
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        torch.onnx.export(model, (batch,), path, dynamo=False, input_names=["input"], opset_version=17)
    return path


def onnxruntime_step(model: nn.Module, batch: Tensor) -> Step:
    """The same by ONNX Runtime, from a file that PyTorch writes."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        path = exported(model, batch, folder)
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    feed = {"input": batch.numpy()}
    return lambda: session.run(None, feed)


def openvino_step(model: nn.Module, batch: Tensor) -> Step:
    """The same by OpenVINO, which would compute in bfloat16 where the machine can, unless it is told not to."""
    import openvino

    settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": "f32"}
    with tempfile.TemporaryDirectory() as folder:
        request = openvino.Core().compile_model(exported(model, batch, folder), "CPU", settings).create_infer_request()
    feed = batch.numpy()
    return lambda: request.infer([feed], share_inputs=True, share_outputs=True)


def image_forward(row: Row, variant: str) -> Step:
    """Features of a batch of images."""
    model, batch = image_model(row.model), images(row)
    drop_classifier(model)
    settle_norms(model, batch)
    return forward_step(model, batch, variant)


def image_train(row: Row, variant: str) -> Step:
    """One step of training with all weights and the classifier."""
    model, batch = prepare(image_model(row.model).train(), images(row), variant)
    labels = torch.randint(CLASSES, (row.batch,))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        optimiser.zero_grad()
        functional.cross_entropy(model(batch), labels).backward()
        optimiser.step()

    return step


def lstm_train(row: Row, _variant: str) -> Step:
    """Gradients of an LSTM's parameters and input."""
    model = nn.LSTM(LSTM_WIDTH, LSTM_WIDTH, LSTM_LAYERS, batch_first=True)
    batch = torch.randn(row.batch, LSTM_STEPS, LSTM_WIDTH, requires_grad=True)

    def step() -> None:
        model.zero_grad()
        batch.grad = None
        model(batch)[0].square().mean().backward()

    return step


def encoder_forward(row: Row, variant: str) -> Step:
    """Hidden states through the encoder."""
    return forward_step(encoder(row.model), hidden_states(row), variant)


def encoder_train(row: Row, variant: str) -> Step:
    """Gradients of the encoder's parameters."""
    model, batch = prepare(encoder(row.model).train(), hidden_states(row), variant)

    def step() -> None:
        model.zero_grad()
        model(batch).square().mean().backward()

    return step


WORKS: dict[str, Callable[[Row, str], Step]] = {
    "forward": image_forward,
    "train": image_train,
    "lstm-train": lstm_train,
    "encoder-forward": encoder_forward,
    "encoder-train": encoder_train,
}


def items(row: Row) -> int:
    """What one iteration counts for: the LSTM's row counts iterations."""
    return 1 if row.work == "lstm-train" else row.batch


def median_seconds(step: Step, seconds: float) -> float:
    """The median time of as many steps as fit, and at least three."""
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < LEAST or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        step()
        times.append(time.perf_counter() - before)
    return statistics.median(times)


def resident(key: str) -> float:
    """Resident memory in MB: now (VmRSS) or its peak (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no {key} in the status of the process")


def private_stdout() -> TextIO:
    """The stream of the protocol; what libraries print goes to stderr from here on."""
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return stream


def serve(row: Row, options: argparse.Namespace, stream: TextIO) -> None:
    """Makes the work, warms it up, and measures it for every line of stdin."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    before = resident("VmRSS")
    step = WORKS[row.work](row, options.variant)
    if row.memory:
        now = resident("VmRSS")
        print(f"{options.variant}: {now:.1f} MB resident before the first step, {before:.1f} MB before the model was "
              "made", file=sys.stderr)  # fmt: skip
    for _ in range(WARM_UP):
        step()
    print("ready", file=stream)
    for line in sys.stdin:
        if line.strip() == "go":
            print(f"rate {items(row) / median_seconds(step, options.seconds):.6f}", file=stream)
        elif line.strip() == "memory":
            print(f"memory {resident('VmHWM'):.3f} {before:.3f}", file=stream)
        else:
            raise ValueError(f"no request {line.strip()!r}")


def parse() -> argparse.Namespace:
    """The command line; an unknown row ends here, with the list of rows."""
    parser = argparse.ArgumentParser(description="A worker of compare.py.")
    parser.add_argument("row", metavar="ROW", choices=ROWS, help="one of: " + ", ".join(ROWS))
    parser.add_argument("--variant", default="eager", help="the way to run it (default eager)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0, help="least time of a measurement (default 2)")
    options = parser.parse_args()
    if options.variant not in ROWS[options.row].variants:
        parser.error(f"{options.row} has the variants {', '.join(ROWS[options.row].variants)}")
    return options


def main() -> int:
    """Runs the worker; every failure goes to whoever started it, in one line."""
    options = parse()
    stream = private_stdout()
    try:
        serve(ROWS[options.row], options, stream)
    except Exception as error:
        print("error", type(error).__name__, *str(error).split(), file=stream)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
