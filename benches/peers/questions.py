"""Extractive question answering with Hugging Face, on the split and with the settings that engraft is given.

    python benches/peers/questions.py split SQUAD.json DIR          # DIR/train.json and DIR/test.json, 80/20 by paragraph
    python benches/peers/questions.py train DIR ENCODER [--epochs 3 --lr 2e-4 --head-rate 5 --batch-size 16]
    python benches/peers/questions.py score DIR/test.json PREDICTIONS.json

The same run by engraft: engraft fit DIR --task qa --base ENCODER --depth all --folds 1 --epochs 3 --lr 2e-4
--rate-factor 1 --head-rate 5 --batch-size 16 --out RUN. Both: AdamW, cosine with a tenth of warm-up, weight decay 0.02
on matrices, gradients of norm 1 at most, windows of 384 tokens with a stride of 128, answers of at most 30 tokens.
Dropout is off on both sides.
"""
import argparse
import hashlib
import json
import math
import pathlib
import re
import string
import time
from collections import Counter


def normalise(text):
    text = "".join(c for c in text.lower() if c not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def f1(gold, answer):
    gold, answer = normalise(gold).split(), normalise(answer).split()
    same = sum((Counter(gold) & Counter(answer)).values())
    if not gold or not answer:
        return float(gold == answer)
    return 2.0 * same / (len(gold) + len(answer)) if same else 0.0


def questions(path):
    for article in json.loads(pathlib.Path(path).read_text())["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                yield paragraph["context"], qa


def score(path, predictions):
    exact, overlap, n = 0.0, 0.0, 0
    for _, qa in questions(path):
        golds = [answer["text"] for answer in qa["answers"]] or [""]
        answer = predictions.get(qa["id"], "")
        exact += max(float(normalise(gold) == normalise(answer)) for gold in golds)
        overlap += max(f1(gold, answer) for gold in golds)
        n += 1
    print(json.dumps({"em": 100 * exact / n, "f1": 100 * overlap / n, "n": n}))


def split(path, folder):
    data = json.loads(pathlib.Path(path).read_text())
    parts = {"train": [], "test": []}
    for article in data["data"]:
        for paragraph in article["paragraphs"]:
            held_out = hashlib.sha256(paragraph["context"].encode()).digest()[0] < 51
            parts["test" if held_out else "train"].append(paragraph)
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, paragraphs in parts.items():
        text = json.dumps({"version": "1.1", "data": [{"title": name, "paragraphs": paragraphs}]})
        (folder / f"{name}.json").write_text(text)
        print(name, len(paragraphs), "paragraphs", sum(len(p["qas"]) for p in paragraphs), "questions")


def train(args):
    import torch
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    tokenizer = AutoTokenizer.from_pretrained(args.encoder)
    model = AutoModelForQuestionAnswering.from_pretrained(
        args.encoder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    folder = pathlib.Path(args.folder)

    def windows(path, with_answers):
        found = []
        for context, qa in questions(path):
            encoded = tokenizer(
                qa["question"], context, truncation="only_second", max_length=384, stride=128,
                return_overflowing_tokens=True, return_offsets_mapping=True,
            )
            for w in range(len(encoded["input_ids"])):
                offsets, sequence = encoded["offset_mapping"][w], encoded.sequence_ids(w)
                inside = [i for i, s in enumerate(sequence) if s == 1]
                start = end = 0
                if with_answers and qa["answers"]:
                    first = qa["answers"][0]["answer_start"]
                    last = first + len(qa["answers"][0]["text"])
                    if offsets[inside[0]][0] <= first and offsets[inside[-1]][1] >= last:
                        start = max(i for i in inside if offsets[i][0] <= first)
                        end = min(i for i in inside if offsets[i][1] >= last)
                found.append((encoded["input_ids"][w], encoded["token_type_ids"][w], sequence, offsets, start, end, qa["id"], context))
        return found

    def run(batch):
        longest = max(len(window[0]) for window in batch)
        pad = lambda values, fill: values + [fill] * (longest - len(values))
        ids = torch.tensor([pad(window[0], 0) for window in batch])
        kinds = torch.tensor([pad(window[1], 0) for window in batch])
        mask = torch.tensor([pad([1] * len(window[0]), 0) for window in batch])
        # Scores count at the context's tokens, and at the first one for "no answer here".
        allowed = torch.tensor([pad([i == 0 or s == 1 for i, s in enumerate(window[2])], False) for window in batch])
        out = model(input_ids=ids, token_type_ids=kinds, attention_mask=mask)
        block = lambda logits: logits.masked_fill(~allowed, -1e9)
        return block(out.start_logits), block(out.end_logits)

    examples = windows(folder / "train.json", True)
    groups = {}
    for name, parameter in model.named_parameters():
        matrix = parameter.dim() > 1
        head = name.startswith("qa_outputs")
        groups.setdefault((head, matrix), []).append(parameter)
    optimiser = torch.optim.AdamW([
        {"params": params, "lr": args.lr * (args.head_rate if head else 1.0), "weight_decay": 0.02 if matrix else 0.0}
        for (head, matrix), params in groups.items()
    ])
    rates = [group["lr"] for group in optimiser.param_groups]
    total = args.epochs * math.ceil(len(examples) / args.batch_size)
    warmup = round(0.1 * total)
    generator = torch.Generator().manual_seed(args.seed)
    start, step = time.time(), 0
    model.train()
    for epoch in range(args.epochs):
        order, losses = torch.randperm(len(examples), generator=generator).tolist(), []
        for at in range(0, len(order), args.batch_size):
            batch = [examples[i] for i in order[at:at + args.batch_size]]
            factor = (step + 1) / warmup if step < warmup else 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))
            for group, rate in zip(optimiser.param_groups, rates):
                group["lr"] = rate * factor
            starts, ends = run(batch)
            truth = lambda k: torch.tensor([window[k] for window in batch])
            loss = (torch.nn.functional.cross_entropy(starts, truth(4)) + torch.nn.functional.cross_entropy(ends, truth(5))) / 2
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            losses.append(loss.item())
            step += 1
        print(f"epoch {epoch + 1}: loss {sum(losses) / len(losses):.3f}, {time.time() - start:.0f} s", flush=True)
    model.eval()
    best = {}
    with torch.no_grad():
        held = windows(folder / "test.json", False)
        for at in range(0, len(held), 16):
            batch = held[at:at + 16]
            for window, starts, ends in zip(batch, *run(batch)):
                sequence, offsets, name, context = window[2], window[3], window[6], window[7]
                inside = [i for i, s in enumerate(sequence) if s == 1]
                for i in inside:
                    for j in range(i, min(i + 30, inside[-1] + 1)):
                        points = (starts[i] + ends[j]).item()
                        if name not in best or points > best[name][0]:
                            best[name] = (points, context[offsets[i][0]:offsets[j][1]])
    predictions = {name: text for name, (_, text) in best.items()}
    (folder / "peer.json").write_text(json.dumps(predictions))
    score(folder / "test.json", predictions)
    print(f"{time.time() - start:.0f} s in all")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("split")
    one.add_argument("path"), one.add_argument("folder")
    one = commands.add_parser("train")
    one.add_argument("folder"), one.add_argument("encoder")
    one.add_argument("--epochs", type=int, default=3), one.add_argument("--lr", type=float, default=2e-4)
    one.add_argument("--head-rate", type=float, default=5.0), one.add_argument("--batch-size", type=int, default=16)
    one.add_argument("--seed", type=int, default=0), one.add_argument("--threads", type=int, default=1)
    one = commands.add_parser("score")
    one.add_argument("path"), one.add_argument("predictions")
    args = parser.parse_args()
    if args.command == "split":
        split(args.path, args.folder)
    elif args.command == "train":
        train(args)
    else:
        score(args.path, json.loads(pathlib.Path(args.predictions).read_text()))
