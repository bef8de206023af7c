"""What others reach on the tables of ../texts.py: one journal line for each set, size, seed and method.

    python texts.py --splits SPLITS --results peers.jsonl --model MINILM [--methods tfidf probe] [--sizes 8] [--seeds 5]

- `tfidf`: scikit-learn's TfidfVectorizer (one and two words, sublinear) and logistic regression, whole texts
- `probe`: the sentence encoder, frozen, and logistic regression
- `setfit`: SetFit (Tunstall et al. 2022) as its package has it, with the settings of the paper
- `finetune`: every layer with the Trainer of transformers: mean pooling, three epochs, lr 5e-5, batches of 16
- `finetune_long`: the same, for as many epochs as make 300 steps: three epochs of few texts are too few steps
  (Zhang et al. 2021; Mosbach et al. 2021)

Strengths of logistic regressions are chosen by the log-loss of five folds of the training part. MINILM is a folder as
sentence-transformers lays it out. The encoder reads the first 256 tokens. Needs scikit-learn, sentence-transformers, setfit,
transformers and accelerate.
"""

import argparse
import hashlib
import math
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TQDM_DISABLE": "1"}

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

# Last, since this file has the name of one that is there.
sys.path.append(str(Path(__file__).resolve().parents[1]))
from text_cells import add_options, cells, rows, run_all
from text_sets import SIZES

METHODS = {
    "tfidf": SIZES,
    "probe": SIZES,
    "setfit": ("8", "64"),
    "finetune": ("64", "all"),
    "finetune_long": ("8", "64"),
}
STRENGTHS = [0.1, 1.0, 10.0, 100.0, 1000.0]
FOLDS = 5
TOKENS = 256
BATCH = 16
LONG_STEPS = 300


def regression(strength):
    return LogisticRegression(C=strength, max_iter=1000)


def regressed(features, train, labels, test, seed):
    """Answers for the test part, and the strength. `features(train, test)` learns from the first and gives both as matrices."""
    labels = np.array(labels)
    losses = dict.fromkeys(STRENGTHS, 0.0)
    for learn, check in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(labels, labels):
        x, held = features([train[at] for at in learn], [train[at] for at in check])
        for strength in STRENGTHS:
            model = regression(strength).fit(x, labels[learn])
            losses[strength] += log_loss(labels[check], model.predict_proba(held), labels=model.classes_, normalize=False)
    strength = min(losses, key=losses.get)
    x, held = features(train, test)
    return regression(strength).fit(x, labels).predict(held), strength


def tfidf(options, cell, train, labels, test):
    """Words and pairs of them."""

    def features(learn, check):
        vectors = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
        return vectors.fit_transform(learn), vectors.transform(check)

    answers, strength = regressed(features, train, labels, test, cell.seed)
    return answers, {"c": strength}


def sentence_encoder(options):
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(options.model), device="cpu")
    encoder.max_seq_length = TOKENS
    return encoder


def embedded(options, cell):
    """{text: embedding} of a whole set, kept in a file."""
    whole = rows(cell.path.parent / "all.csv")
    texts = sorted({*whole["train"][0], *whole["test"][0]})
    name = hashlib.sha256("\n".join([str(options.model.resolve()), *texts]).encode()).hexdigest()[:16]
    path = options.cache / f"{cell.set}-{name}.npy"
    if not path.is_file():
        matrix = sentence_encoder(options).encode(texts, batch_size=32)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npy")
        np.save(part, matrix)
        part.rename(path)
    return dict(zip(texts, np.load(path)))


def probe(options, cell, train, labels, test):
    """The frozen encoder."""
    start = time.perf_counter()
    vectors = embedded(options, cell)
    seconds = time.perf_counter() - start

    def features(*parts):
        return [np.stack([vectors[text] for text in texts]) for texts in parts]

    answers, strength = regressed(features, train, labels, test, cell.seed)
    return answers, {"c": strength, "embedding_seconds": round(seconds, 2)}


def setfit(options, cell, train, labels, test):
    """Contrastive training, one epoch of 2 x 20 pairs for each text, then logistic regression."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    torch.manual_seed(cell.seed)
    model = SetFitModel.from_pretrained(str(options.model), device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            output_dir=folder,
            num_iterations=20,
            num_epochs=1,
            batch_size=BATCH,
            body_learning_rate=2e-5,
            max_length=TOKENS,
            seed=cell.seed,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            show_progress_bar=False,
        )
        Trainer(model=model, args=settings, train_dataset=Dataset.from_dict({"text": train, "label": labels})).train()
    return np.asarray(model.predict(test, batch_size=32, as_numpy=True)), {}


class MeanClassifier(torch.nn.Module):
    """An encoder, the mean of its tokens, a layer: what sequence classification is for an encoder that was trained so."""

    def __init__(self, model, classes):
        from transformers import AutoModel

        super().__init__()
        self.encoder = AutoModel.from_pretrained(str(model), add_pooling_layer=False)
        self.dropout = torch.nn.Dropout(self.encoder.config.hidden_dropout_prob)
        self.classifier = torch.nn.Linear(self.encoder.config.hidden_size, classes)
        torch.nn.init.normal_(self.classifier.weight, std=self.encoder.config.initializer_range)
        torch.nn.init.zeros_(self.classifier.bias)

    def forward(self, input_ids, attention_mask, labels=None):
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        logits = self.classifier(self.dropout((states * mask).sum(1) / mask.sum(1)))
        if labels is None:
            return {"logits": logits}
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


def fine_tuned(options, cell, train, labels, test, epochs):
    """Every layer, with the Trainer's own defaults: AdamW without decay, a rate that falls in a line, no warm-up."""
    from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments, set_seed

    set_seed(cell.seed)
    names = sorted(set(labels))
    tokenizer = AutoTokenizer.from_pretrained(str(options.model))

    def encoded(texts):
        ids = tokenizer(texts, truncation=True, max_length=TOKENS, return_token_type_ids=False)
        return [{"input_ids": ids["input_ids"][at], "attention_mask": ids["attention_mask"][at]} for at in range(len(texts))]

    learn = [row | {"label": names.index(label)} for row, label in zip(encoded(train), labels)]
    held = encoded(test)
    order = sorted(range(len(test)), key=lambda at: len(held[at]["input_ids"]))
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            output_dir=folder,
            num_train_epochs=epochs,
            learning_rate=5e-5,
            per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=32,
            seed=cell.seed,
            use_cpu=True,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        collator = DataCollatorWithPadding(tokenizer)
        model = MeanClassifier(options.model, len(names))
        trainer = Trainer(model=model, args=settings, train_dataset=learn, data_collator=collator)
        trainer.train()
        logits = trainer.predict([held[at] for at in order]).predictions
    answers = np.empty(len(test), dtype=object)
    answers[order] = [names[at] for at in logits.argmax(1)]
    return answers, {"epochs": epochs}


def finetune(options, cell, train, labels, test):
    return fine_tuned(options, cell, train, labels, test, 3)


def finetune_long(options, cell, train, labels, test):
    return fine_tuned(options, cell, train, labels, test, max(3, math.ceil(LONG_STEPS / math.ceil(len(train) / BATCH))))


def measure(options, cell):
    """Runs a cell: accuracy, sizes, and what the method tells of itself."""
    parts = rows(cell.path)
    (train, labels), (test, truth) = parts["train"], parts["test"]
    answers, told = globals()[cell.method](options, cell, train, labels, test)
    accuracy = float(np.mean(np.asarray(answers) == np.asarray(truth)))
    return {"accuracy": accuracy, "test": len(test), "train": len(train), **told}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, METHODS)
    parser.add_argument("--model", type=Path, default=os.environ.get("ENGRAFT_MINILM"), help="[default: $ENGRAFT_MINILM]")
    parser.add_argument("--cache", type=Path, help="where embeddings are kept [default: beside the results]")
    options = parser.parse_args()
    if not options.model:
        parser.error("--model is missing, and so is $ENGRAFT_MINILM")
    options.model = Path(options.model)
    options.cache = options.cache or options.results.with_suffix(".cache")
    torch.set_num_threads(options.threads)
    run_all(options, cells(options, METHODS), lambda cell: measure(options, cell))


if __name__ == "__main__":
    main()
