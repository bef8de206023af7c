"""Speed or memory of one piece of engraft's work beside the same work in PyTorch, ONNX Runtime and OpenVINO.

    PYTHON=peer/bin/python benches/peers/compare.sh ROW [--rounds 5] [--seconds 2] [--against eager] [--json]

Starts engraft's worker (the bench target `speed`) and one worker of speed.py for each way that the peers can run the
row, and lets them take turns: in every round each worker measures once, never two at a time, in an order that rotates,
so that a machine that slows down or speeds up meanwhile does so for all of them. One more worker measures what the
machine's vector units can do at most (f32 multiply-adds that load nothing, on as many threads), for the column `of peak`: the
share of it that the arithmetic of the layers comes to, by their definition; Winograd's convolutions take fewer operations. The last
three lines of stdout are `ours X`, `peer Y` and `ratio Z`: medians in items a second and ours over those of the fastest
peer, or for the memory rows MB (1,048,576 bytes) above what was resident before the model was made and ours over the leanest peer's.

Workers speak lines. A worker prints `ready` once it is warm. On `go` it repeats its work for --seconds, at least three
times, and prints `rate X`, items a second by the median time. On `operations` ours prints `operations X`, thousands of millions of
additions and multiplications that an item takes. On `memory` a worker prints `memory PEAK BEFORE` in MB: the
peak of resident memory, and what was resident before the model was made. `error TEXT` gives up; end of input ends it.

Needs Linux, and what speed.py needs in the Python that runs this.
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
MANIFEST = HERE.parents[1] / "Cargo.toml"
PACKAGES = ("torch", "torchvision", "pretrainedmodels", "onnxruntime", "openvino")
OURS, EAGER, PEAK = "ours", "eager", "peak"
# What `engraft fit` sets for itself (crates/cli/src/allocator.rs); a worker is not begun by it.
KEPT = {
    "GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=4294967296:"
    "glibc.malloc.hugetlb=1"
}
# After a run the threads of some runtimes spin for a moment before they sleep: the next worker waits for that.
PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Row:
    """What to measure, and the ways in which the peers can do it."""

    work: str
    batch: int
    variants: tuple[str, ...]
    model: str = ""
    memory: bool = False


def all_rows() -> dict[str, Row]:
    """Every row by its name."""
    training = (EAGER, "channels_last", "compile")
    rows: dict[str, Row] = {}
    for model in ("resnet18", "resnet50", "inception_v3", "mobilenet_v2", "nasnet_mobile"):
        for suffix, batch in (("", 32), ("-1", 1)):
            rows[f"{model}-forward{suffix}"] = Row("forward", batch, (*training, "onnxruntime", "openvino"), model)
    for model in ("resnet18", "resnet50", "mobilenet_v2"):
        rows[f"{model}-train"] = Row("train", 32, training, model)
        rows[f"{model}-train-memory"] = Row("train", 32, training, model, memory=True)
    rows["lstm-train"] = Row("lstm-train", 64, (EAGER,))
    for model, batch in (("minilm", 32), ("vit_s", 8)):
        rows[f"{model}-forward"] = Row("encoder-forward", batch, (EAGER, "compile", "onnxruntime", "openvino"), model)
        rows[f"{model}-train"] = Row("encoder-train", batch, (EAGER, "compile"), model)
    return rows


ROWS = all_rows()


class WorkerFailed(Exception):
    """A worker said that it cannot go on, or ended."""


@dataclass
class Memory:
    """Megabytes of resident memory: the peak, and before the model was made."""

    peak: float
    before: float

    @property
    def added(self) -> float:
        """What the work itself takes: without this, the row would measure the size of an interpreter."""
        return self.peak - self.before


@dataclass
class Result:
    """What one worker measured: a rate for each round, or its memory."""

    rates: list[float] = field(default_factory=list)
    memory: Memory | None = None
    operations: float = 0.0

    @property
    def value(self) -> float:
        """The number that stands for this worker."""
        return self.memory.added if self.memory else statistics.median(self.rates)


class Worker:
    """A process that measures when told to."""

    def __init__(self, name: str, command: Sequence[str], threads: int, patience: float) -> None:
        self.name = name
        self.patience = patience
        # A group of its own, so that what the worker started (compilers) ends with it.
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=environment(threads) | (KEPT if name == OURS else {}),
            start_new_session=True,
        )

    def ask(self, request: str) -> None:
        """Sends a line; a worker that has ended is noticed by the answer that does not come."""
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()

    def answer(self, keyword: str, count: int) -> list[float]:
        """The numbers after `keyword` in the next line that starts with it; other lines go to stderr."""
        assert self.process.stdout
        timer = threading.Timer(self.patience, self.kill)
        timer.start()
        try:
            for line in self.process.stdout:
                first, _, rest = line.strip().partition(" ")
                if first == "error":
                    raise WorkerFailed(rest)
                if first == keyword:
                    return numbers(rest, count)
                print(f"{self.name}: {line.rstrip()}", file=sys.stderr)
        finally:
            timer.cancel()
        raise WorkerFailed(f"ended without answering (exit status {self.process.wait()})")

    def ready(self) -> None:
        """Waits until the worker is warm."""
        self.answer("ready", 0)

    def rate(self) -> float:
        """One measurement, in items a second."""
        self.ask("go")
        rate = self.answer("rate", 1)[0]
        if rate <= 0:
            raise WorkerFailed(f"a rate of {rate}")
        return rate

    def operations(self) -> float:
        """Thousands of millions of operations of an item."""
        self.ask("operations")
        return self.answer("operations", 1)[0]

    def memory(self) -> Memory:
        """Resident memory so far."""
        self.ask("memory")
        memory = Memory(*self.answer("memory", 2))
        if memory.added <= 0:
            raise WorkerFailed(f"a peak of {memory.peak} MB after {memory.before} MB")
        return memory

    def kill(self) -> None:
        """Ends the worker and everything that it started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Ends the worker the polite way, and then whatever is left of its group."""
        assert self.process.stdin and self.process.stdout
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.kill()
        self.process.wait()
        self.process.stdout.close()


def numbers(text: str, count: int) -> list[float]:
    """The numbers of an answer, which must be as many as expected (0: any text will do)."""
    if count == 0:
        return []
    try:
        values = [float(word) for word in text.split()]
    except ValueError:
        values = []
    if len(values) != count or not all(value < float("inf") for value in values):
        raise WorkerFailed(f"answered {text!r} where {count} number(s) belong")
    return values


def environment(threads: int) -> dict[str, str]:
    """Threads of the runtimes: as many as ours, and asleep while it is another worker's turn."""
    settings = {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    return os.environ | settings


def build_ours() -> str:
    """Builds the bench target `speed` and returns the path of its program."""
    command = ["cargo", "bench", "--manifest-path", str(MANIFEST), "-p", "engraft", "--bench", "speed"]
    done = subprocess.run([*command, "--no-run", "--message-format=json"], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise WorkerFailed("cargo could not build it")
    for line in done.stdout.splitlines():
        message = json.loads(line) if line.startswith("{") else {}
        target = message.get("target", {})
        if target.get("name") == "speed" and "bench" in target.get("kind", []) and message.get("executable"):
            return str(message["executable"])
    raise WorkerFailed("cargo named no program for the bench target `speed`")


def commands(options: argparse.Namespace, ours: str) -> dict[str, list[str]]:
    """The command of every worker of the row, ours first; for speed the one that measures the machine comes last."""
    common = ["--threads", str(options.threads), "--seconds", str(options.seconds)]
    found = {OURS: [ours, options.row, *common]}
    for variant in ROWS[options.row].variants:
        if options.variants is None or variant in options.variants or variant == EAGER:
            found[variant] = [sys.executable, str(HERE / "speed.py"), options.row, "--variant", variant, *common]
    if not ROWS[options.row].memory:
        found[PEAK] = [ours, PEAK, *common]
    return found


@contextlib.contextmanager
def open_worker(name: str, command: list[str], options: argparse.Namespace) -> Iterator[Worker]:
    """A warm worker, ended when the caller is done with it."""
    try:
        worker = Worker(name, command, options.threads, options.patience)
    except OSError as error:
        raise WorkerFailed(str(error)) from error
    try:
        worker.ready()
        yield worker
    finally:
        worker.close()


def tolerate(name: str, error: WorkerFailed) -> None:
    """Reports a failure; without ours, eager or the machine's peak there is nothing to compare, any other peer is left out."""
    if name in (OURS, EAGER, PEAK):
        raise WorkerFailed(f"{name}: {error}") from error
    print(f"{name}: {error}; left out", file=sys.stderr)


def measure_speed(programs: dict[str, list[str]], options: argparse.Namespace) -> dict[str, Result]:
    """Rates of every worker that lasts all the rounds."""
    with contextlib.ExitStack() as stack:
        workers: list[Worker] = []
        for name, command in programs.items():
            try:
                workers.append(stack.enter_context(open_worker(name, command, options)))
            except WorkerFailed as error:
                tolerate(name, error)
        results = {worker.name: Result() for worker in workers}
        for worker in workers:
            if worker.name in (OURS, PEAK):
                results[worker.name].operations = worker.operations()
        for round_index in range(options.rounds):
            turn = round_index % len(workers)
            for worker in workers[turn:] + workers[:turn]:
                if worker.name not in results:
                    continue
                time.sleep(PAUSE_SECONDS)
                try:
                    results[worker.name].rates.append(worker.rate())
                except WorkerFailed as error:
                    tolerate(worker.name, error)
                    del results[worker.name]
        return results


def measure_memory(programs: dict[str, list[str]], options: argparse.Namespace) -> dict[str, Result]:
    """Memory of every worker, each alone on the machine."""
    results: dict[str, Result] = {}
    for name, command in programs.items():
        try:
            with open_worker(name, command, options) as worker:
                worker.rate()
                results[name] = Result(memory=worker.memory())
        except WorkerFailed as error:
            tolerate(name, error)
    return results


def best_of(results: dict[str, Result], memory: bool) -> str:
    """The fastest (or leanest) of the peers."""
    return (min if memory else max)((name for name in results if name != OURS), key=lambda name: results[name].value)


def machine() -> str:
    """The processor, as it calls itself, and how many of its threads this machine has."""
    entries: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        entries.setdefault(key.strip(), value.strip())
    told = [f"{key} {entries[key]}" for key in ("cpu family", "model") if key in entries]
    return f"{entries.get('model name', 'unknown processor')} ({', '.join(told)}), {os.cpu_count()} threads"


def document(
    options: argparse.Namespace, results: dict[str, Result], peak: float | None, best: str, peer: str
) -> dict[str, object]:
    """Everything that was measured, for --json."""
    workers: dict[str, object] = {}
    for name, result in results.items():
        if result.memory:
            measured = {"peak_mb": result.memory.peak, "before_mb": result.memory.before, "added_mb": result.value}
        else:
            measured = {"median": result.value, "rates": result.rates, "of_peak": of_peak(results, result, peak)}
        workers[name] = measured | {"ratio": results[OURS].value / result.value}
    return {
        "row": options.row,
        "batch": ROWS[options.row].batch,
        "unit": unit(ROWS[options.row]),
        "threads": options.threads,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "versions": versions(),
        "machine": machine(),
        "peak_gflops": peak,
        "workers": workers,
        "best": best,
        "peer": peer,
    }


def versions() -> dict[str, str]:
    """Versions of the peers' packages, those that are there."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def unit(row: Row) -> str:
    """What the numbers of a row count."""
    if row.memory:
        return "MB"
    names = {"lstm-train": "iterations", "encoder-forward": "sequences", "encoder-train": "sequences"}
    return f"{names.get(row.work, 'images')} a second"


def of_peak(results: dict[str, Result], result: Result, peak: float | None) -> float | None:
    """Which share of the machine's peak a worker's arithmetic comes to; ours says how much there is."""
    return result.value * results[OURS].operations / peak if peak else None


def print_table(row: Row, results: dict[str, Result], peak: float | None, best: str) -> None:
    """A line for each worker, for people."""
    heads = ("peak", "before", "added") if row.memory else ("median", "min", "max")
    print(machine() + (f"; peak {peak:.0f} GFLOP/s in f32" if peak else ""))
    print(f"{unit(row)}, batch {row.batch}; " + ", ".join(f"{name} {text}" for name, text in versions().items()))
    print(f"{'worker':<16}{heads[0]:>12}{heads[1]:>12}{heads[2]:>12}{'ours/it':>10}{'of peak':>10}")
    for name, result in results.items():
        if result.memory:
            values = (result.memory.peak, result.memory.before, result.memory.added)
        else:
            values = (result.value, min(result.rates), max(result.rates))
        cells = "".join(f"{value:>12.2f}" for value in values)
        share = of_peak(results, result, peak)
        print(f"{name:<16}{cells}{results[OURS].value / result.value:>10.3f}" + (f"{share:>10.2f}" if share else ""))
    print(f"{'leanest' if row.memory else 'fastest'} peer: {best}")


def positive(text: str) -> int:
    """A whole number of at least one."""
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; an unknown row ends here, with the list of rows."""
    parser = argparse.ArgumentParser(description="Speed or memory of engraft beside its peers, in turns.")
    parser.add_argument("row", metavar="ROW", help="one of: " + ", ".join(ROWS))
    parser.add_argument("--rounds", type=positive, default=5, help="measurements of each worker (default 5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="least time of a measurement (default 2)")
    parser.add_argument("--threads", type=positive, default=2, help="threads of each worker (default 2)")
    parser.add_argument(
        "--against", choices=(EAGER, "best"), default="best", help="the peer of the last three lines (default best)"
    )
    parser.add_argument("--variants", nargs="+", help="only these peers, and eager (default: all of the row)")
    parser.add_argument("--ours", metavar="PATH", help="our worker, already built (default: build it with cargo)")
    parser.add_argument("--patience", type=float, default=1200.0, help="longest wait for an answer, in seconds")
    parser.add_argument("--json", action="store_true", help="a JSON document in place of the table")
    options = parser.parse_args(arguments)
    if options.row not in ROWS:
        print(f"no row {options.row!r}; the rows are:", *ROWS, sep="\n  ", file=sys.stderr)
        sys.exit(2)
    unknown = set(options.variants or ()) - set(ROWS[options.row].variants)
    if unknown:
        parser.error(f"{options.row} has no variant {', '.join(sorted(unknown))}")
    return options


def main() -> int:
    """Runs the row and prints it."""
    options = parse()
    row = ROWS[options.row]
    try:
        programs = commands(options, options.ours or build_ours())
        results = (measure_memory if row.memory else measure_speed)(programs, options)
    except WorkerFailed as error:
        print(error, file=sys.stderr)
        return 1
    measured = results.pop(PEAK, None)
    peak = measured.value * measured.operations if measured else None
    best = best_of(results, row.memory)
    peer = best if options.against == "best" else EAGER
    if options.json:
        print(json.dumps(document(options, results, peak, best, peer), indent=2))
    else:
        print_table(row, results, peak, best)
    ours, theirs = results[OURS].value, results[peer].value
    print(f"ours {ours:.3f}\npeer {theirs:.3f}\nratio {ours / theirs:.4f}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
