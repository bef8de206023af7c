"""How often a depth that is stopped early would have been chosen by all folds, simulated: the table of docs/decisions.md.

    python3 benches/stopping.py [--draws 400] [--chance 0.1]

A task is drawn: how many examples (60 to 500), how good the probe is (.70, .85 or .97 right), what `last`, `half` and `all` gain in
truth, and how much the training of a fold adds by luck. All folds are measured, and the rule of crates/engraft/src/methods/choice.rs is
applied to the same numbers. The constants were chosen on gains drawn as the rule presumes; the other kinds check them.
Needs nothing but the standard library.
"""

import argparse
import random
from statistics import NormalDist

PRIORS = [(0.015, 0.03), (0.02, 0.03), (0.005, 0.03)]
FOLDS, FEWEST = 5, 30
KINDS = {
    "as presumed": lambda draw: [mean + deviation * draw() for mean, deviation in PRIORS],
    "alike in depths": lambda draw: (lambda shared: [mean + shared + 0.022 * draw() for mean, _ in PRIORS])(0.02 * draw()),
    "long tails": lambda draw: [mean + 0.025 * draw() / (sum(draw() ** 2 for _ in range(3)) / 3) ** 0.5 for mean, _ in PRIORS],
    "nothing gains": lambda draw: [0.003 * draw() for _ in PRIORS],
    "all lose 4 points": lambda draw: [mean - 0.04 + 0.03 * draw() for mean, _ in PRIORS],
    "all gain 4 points": lambda draw: [mean + 0.04 + 0.03 * draw() for mean, _ in PRIORS],
}


def posterior(scores, prior):
    """Expected gain, the variance of the mean difference."""
    n = len(scores)
    mean = sum(scores) / n
    variance = sum((score - mean) ** 2 for score in scores) / max(n - 1, 1) / n + n**-2
    own, other = prior[1] ** -2, 1 / variance
    return (own * prior[0] + other * mean) / (own + other), variance


def chance(scores, prior, total, best):
    """That more than `best` is expected once all are measured."""
    expected, variance = posterior(scores, prior)
    after = lambda variance: 1 / (prior[1] ** -2 + 1 / variance)
    shrinks = after(variance) - after(variance * len(scores) / total)
    return NormalDist().cdf((expected - best) / max(shrinks, 1e-15) ** 0.5)


def differences(stream, gain, luck, accuracy, sizes):
    """Per fold: how much more right each example is than by the probe: -1, 0 or 1."""
    folds = []
    for size in sizes:
        own = max(-0.9, min(0.9, gain + luck * stream.gauss(0, 1)))
        changed = min(max(0.7 * (1 - accuracy), abs(own)), 1)
        draws = [stream.random() for _ in range(size)]
        folds.append([1 if u < (changed + own) / 2 else -1 if u < changed else 0 for u in draws])
    return folds


def is_stopped(data, depth, done, kept, total, limit):
    """Whether the rule gives a depth up after `done` folds, on all that is known and on all but any one fold: so that no fold's
    answers decide by which depth they are given."""
    for left_out in (None, *range(FOLDS)):
        known = lambda at, folds: [score for fold in range(folds) if fold != left_out for score in data[at][fold]]
        best = max([0.0, *(posterior(known(at, FOLDS), PRIORS[at])[0] for at in kept)])
        scores = known(depth, done)
        if len(scores) < FEWEST or chance(scores, PRIORS[depth], total, best) >= limit:
            return False
    return True


def too_high(data, kept, gains):
    """By how much the reported gain, for which each fold is answered as the other folds choose, is above the true one."""
    answered, truth, total = 0, 0.0, sum(len(fold) for fold in data[0])
    for fold in range(FOLDS):
        others = [[score for at, part in enumerate(data[depth]) if at != fold for score in part] for depth in kept]
        expected = [0.0, *(posterior(scores, PRIORS[depth])[0] for scores, depth in zip(others, kept))]
        pick = expected.index(max(expected))
        if pick:
            answered += sum(data[kept[pick - 1]][fold])
            truth += gains[kept[pick - 1]] * len(data[0][fold])
    return (answered - truth) / total


def task(stream, kind, luck, limit):
    """The depths stopped, those of them that all folds would have chosen, folds trained, the points lost in truth, and by how much
    the reported gain is too high where all folds of all depths are measured, and where some are stopped."""
    total = stream.choice([60, 100, 245, 500])
    accuracy = stream.choice([0.7, 0.85, 0.97])
    sizes = [total // FOLDS + (fold < total % FOLDS) for fold in range(FOLDS)]
    gains = [min(gain, 0.9 * (1 - accuracy)) for gain in KINDS[kind](lambda: stream.gauss(0, 1))]
    data = [differences(stream, gain, luck, accuracy, sizes) for gain in gains]
    finals = [posterior(sum(folds, []), prior)[0] for folds, prior in zip(data, PRIORS)]
    expected = [0.0, *finals]
    full = expected.index(max(expected))
    trained, kept = 0, []
    for depth in range(len(PRIORS)):
        for done in range(1, FOLDS + 1):
            trained += 1
            if done < FOLDS and is_stopped(data, depth, done, kept, total, limit):
                break
        else:
            kept.append(depth)
    ours = [0.0, *(finals[depth] for depth in kept)]
    chosen = [0, *(depth + 1 for depth in kept)][ours.index(max(ours))]
    truth = [0.0, *gains]
    bias = too_high(data, range(len(PRIORS)), gains), too_high(data, kept, gains)
    return len(PRIORS) - len(kept), full > 0 and full - 1 not in kept, trained, truth[full] - truth[chosen], *bias


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--draws", type=int, default=400, help="tasks of each kind")
    parser.add_argument("--chance", type=float, default=0.1, help="probability below which a depth is stopped")
    options = parser.parse_args()
    print("| gains | luck of a fold, points | depths stopped | of these all folds would choose | folds saved | points lost | reported too high by, points, without and with |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for kind in KINDS:
        for luck in (0.0, 0.015):
            stream = random.Random(f"{kind}/{luck}")
            rows = [task(stream, kind, luck, options.chance) for _ in range(options.draws)]
            stopped, wrong, trained, lost, *bias = (sum(column) for column in zip(*rows))
            depths = len(PRIORS) * len(rows)
            print(f"| {kind} | {100 * luck:.1f} | {stopped / depths:.2f} | {wrong / max(stopped, 1):.3f} "
                  f"| {1 - trained / FOLDS / depths:.2f} | {100 * lost / len(rows):+.2f} "
                  f"| {100 * bias[0] / len(rows):+.2f}, {100 * bias[1] / len(rows):+.2f} |")


if __name__ == "__main__":
    main()
