"""A disk that becomes full in the middle of `engraft glove`: the error, what is left behind, and going on afterwards.

    mkdir /tmp/small && sudo mount -t tmpfs -o size=900m tmpfs /tmp/small
    python benches/glove_full_disk.py --engraft target/release/engraft --disk /tmp/small --corpus TEXT

`--disk` is a file system of its own, TEXT some 40 MB of text (`slice.txt` of benches/glove.py). In each case a file grows to a size, and then all that is free
is filled (size 0: before the start). Shown and checked: the program ends with an error that names a file of this disk, an output that was there has the same bytes,
nothing else is left but the unfinished work of a training, and with room again the same command ends well.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def fill(disk):
    with open(disk / "ballast", "wb", buffering=0) as file:
        for size in [1 << 22, 1 << 12]:
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                pass


def largest(disk, pattern):
    sizes = [0]
    for path in disk.glob(pattern):
        try:
            sizes.append(path.stat().st_size)
        except OSError:
            pass
    return max(sizes)


def main():
    parser = argparse.ArgumentParser()
    for name in ["engraft", "disk", "corpus"]:
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    disk, engraft = args.disk.resolve(), args.engraft.resolve()
    if os.path.ismount(disk) is False:
        sys.exit(f"{disk} is no file system of its own, and would be filled: mount one there")
    vocabulary, pairs, vectors = disk / "vocab.txt", disk / "pairs.bin", disk / "vectors"
    small = ["--window-size", "10", "--memory", "256"]

    def run(command, pattern=None, size=0):
        filled = pattern is not None and size == 0
        if filled:
            fill(disk)
        process = subprocess.Popen([engraft, "glove", *map(str, command)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        while pattern and process.poll() is None:
            if not filled and largest(disk, pattern) >= size:
                # It waits while the disk is filled, so that this is the moment that is meant.
                process.send_signal(signal.SIGSTOP)
                fill(disk)
                filled = True
                process.send_signal(signal.SIGCONT)
            time.sleep(0.0005)
        _, errors = process.communicate()
        (disk / "ballast").unlink(missing_ok=True)
        return process.returncode, errors, filled

    def left():
        return sorted(str(path.relative_to(disk)) for path in disk.rglob("*"))

    def case(title, command, out, pattern, size):
        before = out.read_bytes() if out.is_file() else None
        names = [name for name in left() if ".unfinished" not in name]
        code, errors, filled = run(command, pattern, size)
        message = errors[errors.rfind("error:"):].strip()
        print(f"\n{title}: exit {code}\n  " + message.replace("\n", "\n  "))
        assert filled and code not in (0, 101) and code > 0, "it had to fail"
        assert "no space left" in message and str(disk) in message, "the message has to say where"
        assert [name for name in left() if ".unfinished" not in name] == names, f"left behind: {left()}"
        assert (out.read_bytes() if out.is_file() else None) == before, "what was there has changed"
        assert not any("partial-" in name and "unfinished/" in name for name in left()), f"half-made: {left()}"

    def works(command):
        code, errors, _ = run(command)
        assert code == 0, errors

    works(["vocab", args.corpus, "--min-count", 5, "--out", vocabulary])
    case("the vocabulary", ["vocab", args.corpus, "--min-count", 1, "--out", vocabulary, "--force"], vocabulary, "", 0)
    count = ["cooccur", args.corpus, "--vocab-file", vocabulary, *small, "--out", pairs, "--force"]
    case("a run of sums on disk, nothing was there", count, pairs, ".pairs.bin.partial-*/run-*", 1 << 20)
    works(count)
    expected = pairs.read_bytes()
    case("a run of sums on disk", count, pairs, ".pairs.bin.partial-*/run-*", 16 << 20)
    case("the records", count, pairs, ".pairs.bin.partial-*", 24 << 20)
    works(count)
    assert pairs.read_bytes() == expected
    order = ["shuffle", "--input-file", pairs, "--memory", 256, "--out", disk / "shuffled.bin"]
    case("the shuffled records", order, disk / "shuffled.bin", ".shuffled.bin.partial-*/groups", 24 << 20)
    learn = ["train", "--input-file", pairs, "--vocab-file", vocabulary, "--vector-size", 50, "--iter", 2, "--checkpoint-seconds", 0, "--out", vectors]
    case("records by block", learn, vectors, "vectors.unfinished/.blocks.bin.partial-*/groups", 24 << 20)
    case("blocks", learn, vectors, "vectors.unfinished/blocks.bin.part", 24 << 20)
    case("a checkpoint", learn, vectors, "vectors.unfinished/.state.bin.partial-*", 1 << 20)
    case("the vectors", learn, vectors, ".vectors.partial-*/vectors.txt", 1 << 20)
    works(learn)
    assert left() == sorted(["pairs.bin", "vocab.txt", "vectors", "vectors/glove.json", "vectors/vectors.txt", "vectors/vocab.txt"]), left()
    print("\nall as it has to be")


if __name__ == "__main__":
    main()
