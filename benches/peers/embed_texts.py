"""Embedding a corpus with a sentence encoder: engraft beside sentence-transformers on PyTorch and on ONNX Runtime.

    python benches/peers/embed_texts.py --model FOLDER --texts FILE [--worker PROGRAM] [--threads 2] [--rounds 3]

FOLDER is an encoder as sentence-transformers saves it (all-MiniLM-L6-v2), FILE has a text in each line; the zip archive of
the sentence polarity set is read as it is. PROGRAM is the bench target `embed`, built with
`cargo bench --no-run --bench embed`; without it cargo builds and finds it.

All take turns in every round, in an order that rotates, never two at a time. Each goes from texts to vectors: tokens, the
encoder in f32, the mean of the tokens, length one; texts are sorted by length and run in batches of 32. ONNX Runtime runs
the graph that PyTorch exports, and the same with the blocks fused by its own optimiser for BERT; batches are padded to
their longest text. Printed: texts a second by the median of the rounds, engraft's over each peer's, and the
largest difference of a number of the vectors.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

MANIFEST = Path(__file__).resolve().parents[2] / "Cargo.toml"
BATCH = 32
PAUSE_SECONDS = 0.3


def texts_of(path, limit):
    """The texts of a file, or of the archive of sentence polarity."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if "rt-polarity." in name)
            lines = [line for name in names for line in archive.read(name).decode("latin-1").split("\n")]
    else:
        lines = path.read_text().split("\n")
    lines = [" ".join(line.split()) for line in lines]
    lines = [line for line in lines if line]
    return lines[:: max(1, len(lines) // limit)][:limit] if limit else lines


class Ours:
    """The worker: it embeds the corpus on `go`, and writes the vectors on `write PATH`."""

    name = "engraft"

    def __init__(self, worker, options, texts):
        command = [worker, "--model", options.model, "--texts", texts, "--threads", str(options.threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answer("ready")

    def answer(self, word):
        line = self.process.stdout.readline().split(None, 1)
        if not line or line[0] != word:
            raise SystemExit(f"the worker says {' '.join(line)!r}, not {word!r}")
        return line[1].strip() if len(line) > 1 else ""

    def ask(self, request, word):
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return self.answer(word)

    def run(self):
        return float(self.ask("go", "seconds"))

    def rows(self, columns):
        import numpy

        with tempfile.NamedTemporaryFile() as file:
            self.ask(f"write {file.name}", "written")
            return numpy.fromfile(file.name, dtype="<f4").reshape(-1, columns)


class SentenceTransformers:
    name = "sentence-transformers (PyTorch)"

    def __init__(self, options, texts):
        from sentence_transformers import SentenceTransformer

        self.model, self.texts = SentenceTransformer(options.model, device="cpu"), texts
        self.answer = None

    def run(self):
        start = time.perf_counter()
        self.answer = self.model.encode(self.texts, batch_size=BATCH, show_progress_bar=False)
        return time.perf_counter() - start


class OnnxRuntime:
    def __init__(self, options, texts, fused):
        import onnxruntime
        from transformers import AutoTokenizer

        self.name = "ONNX Runtime, fused" if fused else "ONNX Runtime"
        self.texts, self.tokenizer = texts, AutoTokenizer.from_pretrained(options.model)
        said = json.loads((Path(options.model) / "sentence_bert_config.json").read_text())
        self.longest = said["max_seq_length"]
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads, settings.inter_op_num_threads = options.threads, 1
        with tempfile.TemporaryDirectory() as folder:
            path = self.export(options.model, folder, fused)
            self.session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])

    def export(self, folder, to, fused):
        import torch
        from transformers import AutoConfig, AutoModel

        model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
        names = ["input_ids", "attention_mask", "token_type_ids"]

        class States(torch.nn.Module):
            def __init__(self, model):
                super().__init__()
                self.model = model

            def forward(self, input_ids, attention_mask, token_type_ids):
                answer = self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
                return answer.last_hidden_state

        sample = tuple(torch.ones((2, 8), dtype=torch.long) for _ in names)
        axes = {name: {0: "batch", 1: "tokens"} for name in [*names, "states"]}
        path = f"{to}/model.onnx"
        torch.onnx.export(
            States(model), sample, path, input_names=names, output_names=["states"], dynamic_axes=axes,
            opset_version=17, dynamo=False,
        )
        if not fused:
            return path
        from onnxruntime.transformers import optimizer

        config = AutoConfig.from_pretrained(folder)
        better = optimizer.optimize_model(
            path, model_type="bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size, opt_level=1
        )
        print(f"fused: {better.get_fused_operator_statistics()}", file=sys.stderr)
        better.save_model_to_file(f"{to}/fused.onnx")
        return f"{to}/fused.onnx"

    def run(self):
        import numpy

        start = time.perf_counter()
        order = sorted(range(len(self.texts)), key=lambda index: -len(self.texts[index]))
        answer = None
        for begin in range(0, len(order), BATCH):
            part = order[begin : begin + BATCH]
            batch = self.tokenizer(
                [self.texts[index] for index in part],
                padding=True,
                truncation=True,
                max_length=self.longest,
                return_tensors="np",
                return_token_type_ids=True,
            )
            states = self.session.run(None, {name: value.astype(numpy.int64) for name, value in batch.items()})[0]
            mask = batch["attention_mask"][:, :, None].astype(numpy.float32)
            rows = (states * mask).sum(1) / mask.sum(1)
            rows /= numpy.linalg.norm(rows, axis=1, keepdims=True)
            if answer is None:
                answer = numpy.empty((len(order), rows.shape[1]), numpy.float32)
            answer[part] = rows
        self.answer = answer
        return time.perf_counter() - start


def built():
    """The worker, built by cargo."""
    command = ["cargo", "bench", "--no-run", "--bench", "embed", "--message-format=json", "--manifest-path", MANIFEST]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    programs = [message["executable"] for message in map(json.loads, lines) if message.get("executable")]
    return programs[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--texts", required=True, type=Path)
    parser.add_argument("--worker")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=0, help="so many texts, evenly out of all")
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(options.threads)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    texts = texts_of(options.texts, options.limit)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(texts) + "\n")
        file.flush()
        ours = Ours(options.worker or built(), options, file.name)
        import torch

        torch.set_num_threads(options.threads)
        peers = [SentenceTransformers(options, texts), *(OnnxRuntime(options, texts, fused) for fused in (False, True))]
        everyone = [ours, *peers]
        seconds = {one.name: [] for one in everyone}
        for turn in range(options.rounds):
            shift = turn % len(everyone)
            for one in everyone[shift:] + everyone[:shift]:
                time.sleep(PAUSE_SECONDS)
                seconds[one.name].append(one.run())
                print(f"{one.name}: {seconds[one.name][-1]:.2f} s", file=sys.stderr)
        rows = ours.rows(peers[0].answer.shape[1])
    own = statistics.median(seconds[ours.name])
    print(f"{len(texts)} texts, {options.threads} threads, medians of {options.rounds} rounds")
    print(f"{ours.name}: {len(texts) / own:.1f} texts a second")
    for peer in peers:
        median = statistics.median(seconds[peer.name])
        difference = abs(rows - peer.answer).max()
        print(f"{peer.name}: {len(texts) / median:.1f} texts a second, ratio {median / own:.3f}, difference {difference:.2g}")


if __name__ == "__main__":
    main()
