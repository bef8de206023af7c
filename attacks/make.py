"""Writes the hostile weight files of attacks/files and the table in README.md. Nothing here is ever executed by a test.

Run: python make.py (needs h5py and numpy)
"""

import io
import json
import pathlib
import pickle
import shutil
import struct
import zlib

import h5py
import numpy as np

HERE = pathlib.Path(__file__).parent
FILES = HERE / "files"
ROWS = []


def attack(file, tries, must, content):
    """`must` begins with the name of the error, or with "read" where the file does no harm."""
    (FILES / file).write_bytes(content)
    ROWS.append((file, tries, must))


# Zip archives, byte by byte: the standard library refuses to lie.


class Entry:
    def __init__(self, name, data=b"", deflate=False, **lies):
        self.name = name.encode()
        if deflate:
            packer = zlib.compressobj(9, zlib.DEFLATED, -15)
            self.body = packer.compress(data) + packer.flush()
        else:
            self.body = data
        self.method = 8 if deflate else 0
        self.crc = lies.get("crc", zlib.crc32(data))
        self.size = lies.get("size", len(data))
        self.stored = lies.get("stored", len(self.body))
        self.mode = lies.get("mode", 0o100644)
        self.extra = lies.get("extra", b"")
        self.at = lies.get("at")


def archive(*entries, count=None, zip64_end=b""):
    out, directory = b"", b""
    for entry in entries:
        shared = struct.pack("<HHHHHIII", 20, 0, entry.method, 0, 33, entry.crc, entry.stored, entry.size)
        lengths = struct.pack("<HH", len(entry.name), len(entry.extra))
        at = len(out) if entry.at is None else entry.at
        if entry.at is None:
            out += b"PK\3\4" + shared + lengths + entry.name + entry.extra + entry.body
        directory += b"PK\1\2" + struct.pack("<H", 0x0314) + shared + lengths
        directory += struct.pack("<HHHII", 0, 0, 0, entry.mode << 16, at) + entry.name + entry.extra
    many = len(entries) if count is None else count
    end = struct.pack("<HHHHIIH", 0, 0, many, many, len(directory), len(out), 0)
    return out + directory + zip64_end + b"PK\5\6" + end


def torch_zip(code, *more, storages=(("0", struct.pack("<4f", 1, 2, 3, 4)),), deflate=False):
    entries = [Entry("a/data.pkl", code, deflate), Entry("a/byteorder", b"little")]
    entries += [Entry(f"a/data/{key}", data) for key, data in storages]
    return archive(*entries, *more)


# Pickles, opcode by opcode.

PROTO, STOP, NONE = b"\x80\x02", b".", b"N"


def text(value):
    value = value.encode()
    return b"X" + struct.pack("<I", len(value)) + value


def number(value):
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def name(module, attribute):
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def many(*items):
    return b"(" + b"".join(items) + b"t"


def numbers(*values):
    return many(*map(number, values))


def called(module, attribute, *arguments):
    return name(module, attribute) + many(*arguments) + b"R"


def storage(key="0", kind="FloatStorage", length=4, module="torch"):
    return many(text("storage"), name(module, kind), text(key), text("cpu"), number(length)) + b"Q"


def tensor(block=None, offset=0, shape=(4,), strides=(1,)):
    block = storage() if block is None else block
    hooks = called("collections", "OrderedDict")
    return called(
        "torch._utils", "_rebuild_tensor_v2", block, number(offset), numbers(*shape), numbers(*strides), b"\x89", hooks
    )


def mapping(**items):
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def state(**items):
    """A pickle of a sound tensor and of `items`."""
    return PROTO + mapping(weight=tensor(), **items) + STOP


def one(**lies):
    return torch_zip(PROTO + mapping(weight=tensor(**lies)) + STOP)


def legacy(code, keys=("0",), storages=struct.pack("<Q4f", 4, 1, 2, 3, 4)):
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps(system, 2)
    keys = keys if isinstance(keys, bytes) else pickle.dumps(list(keys), 2)
    return head + code + keys + storages


def pickles():
    command = text("touch /tmp/engraft-was-here")

    def calls(file, module, attribute, *arguments, make=torch_zip):
        tries = f"calls `{module}.{attribute}` while the object is built"
        must = f"Code: names `{module}.{attribute}`"
        attack(file, tries, must, make(state(extra=called(module, attribute, *arguments))))

    calls("os_system.pt", "os", "system", command)
    calls("posix_system.th", "posix", "system", command, make=legacy)
    calls("nt_system.pt", "nt", "system", command)
    calls("subprocess_popen.pt", "subprocess", "Popen", command)
    calls("eval.pt", "builtins", "eval", text("__import__('os').system('true')"))
    calls("exec.pt", "__builtin__", "exec", text("import os; os.system('true')"))
    calls("import.pt", "builtins", "__import__", text("os"))
    calls("open_passwd.pt", "builtins", "open", text("/etc/passwd"))
    calls("os_remove.pt", "os", "remove", text("/etc/passwd"))
    calls("rmtree.pt", "shutil", "rmtree", text("/"))
    calls("getattr.pt", "builtins", "getattr", NONE, text("system"))
    calls("runpy.pt", "runpy", "_run_code", text("1"))
    calls("nested_load.pt", "torch", "load", text("/tmp/second.pt"))
    calls("nested_loads.pt", "pickle", "loads", text("cos\nsystem\n."))
    calls("jit_load.pt", "torch.jit", "load", text("/tmp/second.pt"))
    calls("hub_load.pt", "torch.hub", "load_state_dict_from_url", text("http://127.0.0.1/"))

    dotted = b"\x80\x04" + text("torch") + text("serialization.os.system") + b"\x93" + many(command) + b"R" + STOP
    attack("dotted_global.pt", "reaches `os.system` by dots in a STACK_GLOBAL", "Code: the whole name is looked up", torch_zip(dotted))
    attack("bare.pkl", "is no file of torch.save, only a pickle that runs a command", "Code: names `os.system`", b"cos\nsystem\n(S'true'\ntR.")
    attack("inst.pt", "builds by INST", "Code: names `os.system`", torch_zip(state(extra=b"(" + command + b"ios\nsystem\n")))
    attack("obj.pt", "builds by OBJ", "Code: names `os.system`", torch_zip(state(extra=b"(" + name("os", "system") + command + b"o")))
    new = name("subprocess", "Popen") + many(command)
    attack("newobj.pt", "builds by NEWOBJ", "Code: names `subprocess.Popen`", torch_zip(state(extra=new + b"\x81")))
    attack("newobj_ex.pt", "builds by NEWOBJ_EX", "Code: names `subprocess.Popen`", torch_zip(state(extra=new + b"}\x92")))
    for width, opcode in ((1, b"\x82"), (2, b"\x83"), (4, b"\x84")):
        code = state(extra=opcode + (1).to_bytes(width, "little"))
        attack(f"ext{width}.pt", f"names a class by EXT{width}, a number of a registry", "Code: no number means a class", torch_zip(code))
    set_state = called("collections", "OrderedDict") + mapping(__setstate__=name("os", "system")) + b"b" + command + b"b"
    attack("setstate.pt", "gives an object a `__setstate__` by BUILD, then calls it by BUILD", "Code: names `os.system`", torch_zip(state(extra=set_state)))
    attack("build_text.pt", "gives a text a state", "Pickle: a text has none", torch_zip(state(extra=text("a") + b"}b")))
    attack("reduce_text.pt", "calls the text `os.system`", "Pickle: a text cannot be called", torch_zip(state(extra=text("os.system") + many(command) + b"R")))
    attack("call_result.pt", "calls what a call gave", "read: what a call gave is left alone, and nothing is called", torch_zip(state(extra=called("builtins", "list") + many(command) + b"R")))
    attack("persistent_text.pt", "has a text as persistent object", "Pickle: it must be a tuple", torch_zip(state(extra=text("../../etc/passwd") + b"Q")))
    attack("persistent_line.pt", "has a persistent object of protocol 0", "Pickle: it must be a tuple", torch_zip(state(extra=b"P/etc/passwd\n")))
    attack("storage_function.pt", "has a function as class of a storage", "Code: names `os.systemStorage`", one(block=storage(module="os", kind="systemStorage")))
    attack("storage_of_dict.pt", "has a known class that is no storage as class of a storage", "Pickle: it must be a storage", one(block=storage(module="collections", kind="OrderedDict")))
    attack("storage_quantised.pt", "has a storage of a type without a meaning here", "Type: names the type", one(block=storage(kind="QInt8Storage")))
    attack("late_pickle.th", "hides a call in the list of storages of an old file", "Code: names `os.system`", legacy(state(), keys=PROTO + called("os", "system", command) + STOP))
    attack("tensor_of_text.pt", "rebuilds a tensor from a text", "Pickle: it must be a storage", torch_zip(state(extra=called("torch._utils", "_rebuild_tensor_v2", text("a"), number(0), numbers(1), numbers(1)))))
    attack("from_type.pt", "hands `os.system` to the function that rebuilds subclasses", "Code: names `os.system`", torch_zip(state(extra=called("torch._tensor", "_rebuild_from_type_v2", name("os", "system"), NONE, many(command), NONE))))

    laughs = b"]q\0" + b"".join(b"0](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(40))
    attack("laughs_lists.pt", "40 lists, each twice in the next: a trillion when unfolded", "Contents: lists cost what is written and hold no tensor", torch_zip(PROTO + mapping(weights=laughs) + STOP))
    laughs = mapping(w=tensor()) + b"q\0"
    for i in range(24):
        laughs += b"0}(" + text("a") + b"h" + bytes([i]) + text("b") + b"h" + bytes([i]) + b"uq" + bytes([i + 1])
    attack("laughs_dicts.pt", "24 dictionaries, each twice in the next, around a tensor: 16 million names", "TooLarge: 100,000 tensors", torch_zip(PROTO + laughs + STOP))
    attack("self_list.pt", "a list that holds itself", "Contents: no dictionary of tensors", torch_zip(PROTO + b"]q\0h\0a" + STOP))
    attack("self_dict.pt", "a dictionary that holds itself", "TooLarge: 32 dictionaries deep", torch_zip(PROTO + b"}q\0(" + text("w") + tensor() + text("again") + b"h\0u" + STOP))
    wide = b"}q\0(" + b"".join(text(f"k{i}") + b"h\0" for i in range(8)) + b"u"
    attack("self_dict_wide.pt", "a dictionary that holds itself eight times", "TooLarge: 32 dictionaries deep", torch_zip(PROTO + wide + STOP))
    copies = b"](" + b"".join(many(number(i), NONE) for i in range(200)) + b"eq\0"
    copies += (name("collections", "OrderedDict") + b"q\1") + b"(h\0tR0h\1" * 20_000
    attack("copies.pt", "20,000 copies of one list of 200 items", "TooLarge: a million copied items", torch_zip(PROTO + copies + STOP, deflate=True))

    attack("memo.pt", "puts value 2^32-1 into the memo", "read: the memo is a map, so nothing is reserved", torch_zip(PROTO + mapping(weight=tensor()) + b"r\xff\xff\xff\xff" + STOP))
    attack("memo_text.pt", "puts value 10^30 into the memo by PUT", "Pickle: the number has 32 bits", torch_zip(PROTO + mapping(weight=tensor()) + b"p1" + b"0" * 30 + b"\n" + STOP))
    attack("long4.pt", "claims an integer of 2 GB", "Pickle: the bytes are not there", torch_zip(state(extra=b"\x8b" + struct.pack("<I", 2**31 - 1))))
    attack("text8.pt", "claims a text of 2^62 bytes", "Pickle: the bytes are not there", torch_zip(state(extra=b"\x8d" + struct.pack("<Q", 2**62))))
    attack("bytes8.pt", "claims 2^64-1 bytes", "Pickle: the bytes are not there", torch_zip(state(extra=b"\x8e" + b"\xff" * 8)))
    attack("bytearray8.pt", "claims a byte array of 2^62 bytes", "Pickle: the bytes are not there", torch_zip(state(extra=b"\x96" + struct.pack("<Q", 2**62))))
    attack("frame.pt", "claims a frame of 2^62 bytes", "Pickle: the bytes are not there", torch_zip(b"\x80\x04\x95" + struct.pack("<Q", 2**62) + mapping(weight=tensor()) + STOP))
    attack("short_frame.pt", "claims a frame of 1 byte around everything", "read: a frame says only how much to read ahead", torch_zip(b"\x80\x04\x95" + struct.pack("<Q", 1) + mapping(weight=tensor()) + STOP))
    attack("marks.pt", "2 million open marks", "TooLarge: a million on the stack", torch_zip(PROTO + b"(" * 2_000_000, deflate=True))
    attack("tuples.pt", "tuples 999,990 deep", "Contents: no dictionary, and nothing recurses", torch_zip(PROTO + b"N" + b"\x85" * 999_990 + STOP, deflate=True))
    deep = PROTO + (b"}" + text("a")) * 300_000 + mapping(w=tensor()) + b"s" * 300_000 + STOP
    attack("dicts.pt", "dictionaries 300,000 deep", "TooLarge: 32 dictionaries deep", torch_zip(deep, deflate=True))
    attack("values.pt", "pushes 2 million values", "TooLarge: a million values", torch_zip(PROTO + b"N" * 2_000_000 + STOP, deflate=True))
    attack("steps.pt", "pushes and pops one value forever", "TooLarge: a million values", torch_zip(PROTO + b"N0" * 1_500_000 + STOP, deflate=True))
    attack("get_pop.pt", "pops what it recalls, a million times, and has no value at the end", "Pickle: no value on the stack", torch_zip(PROTO + b"Nq\0" + b"0h\0" * 1_000_000 + b"00" + STOP, deflate=True))
    attack("no_stop.pt", "ends without STOP", "Pickle: the end comes early", torch_zip(state()[:-1]))
    attack("underflow.pt", "pops from an empty stack", "Pickle: no value on the stack", torch_zip(PROTO + b"0" * 9 + STOP))
    attack("protocol.pt", "claims protocol 255", "Pickle: protocols end at 5", torch_zip(b"\x80\xff" + state()[2:]))


def tensors():
    attack("storage_overflow.pt", "a storage of 2^62 numbers, whose bytes overflow", "Tensor: the storage has 16 bytes", one(block=storage(length=2**62)))
    attack("storage_negative.pt", "a storage of -1 numbers", "Pickle: 0 numbers or more", one(block=storage(length=-1)))
    attack("storage_huge_int.pt", "a storage of 2^200 numbers", "Pickle: 0 numbers or more", one(block=storage(length=2**200)))
    attack("storage_longer.pt", "claims 1,000 numbers where the entry has 4", "Tensor: the storage has 16 bytes", one(block=storage(length=1000)))
    attack("storage_outside.pt", "names `../../../etc/passwd` as storage", "Archive: no such entry", one(block=storage(key="../../../etc/passwd")))
    attack("storage_two_types.pt", "uses a storage as float and as double", "Pickle: one type for one storage", torch_zip(state(other=tensor(storage(kind="DoubleStorage", length=2)))))
    attack("type_mismatch.pt", "a storage of doubles whose entry has floats", "Tensor: the storage has 16 bytes", one(block=storage(kind="DoubleStorage")))
    attack("size_negative.pt", "a shape of -4", "Tensor: 0 or more", one(shape=(-4,)))
    attack("size_text.pt", "a shape that is a text", "Tensor: whole numbers", torch_zip(PROTO + mapping(w=called("torch._utils", "_rebuild_tensor_v2", storage(), number(0), text("4"), numbers(1))) + STOP))
    attack("stride_beyond.pt", "a stride that leads outside the storage", "Tensor: every number must lie inside", one(shape=(2, 2), strides=(100, 1)))
    attack("stride_overflow.pt", "strides of 2^62, whose sum overflows back into the storage", "Tensor: every number must lie inside", one(shape=(5, 5), strides=(2**62, 2**62)))
    attack("stride_negative.pt", "a stride of -1, from before the storage", "Tensor: 0 or more", one(shape=(4,), strides=(-1,)))
    attack("stride_missing.pt", "two axes and one stride", "Tensor: a stride for each axis", one(shape=(2, 2), strides=(1,)))
    attack("offset_outside.pt", "an offset behind the storage", "Tensor: every number must lie inside", one(offset=4, shape=(1,)))
    attack("offset_overflow.pt", "an offset of 2^63-1", "Tensor: every number must lie inside", one(offset=2**63 - 1))
    attack("offset_negative.pt", "an offset of -1", "Tensor: 0 or more", one(offset=-1))
    attack("expanded.pt", "one number expanded to 4 TB by a stride of 0", "TooLarge: twice the file and 64 MiB", one(shape=(2**40,), strides=(0,)))
    attack("expanded_often.pt", "100 tensors of 4 MB out of one number", "TooLarge: twice the file and 64 MiB for all", torch_zip(PROTO + mapping(**{f"w{i}": tensor(shape=(2**20,), strides=(0,)) for i in range(100)}) + STOP, deflate=True))
    wide = tensor(storage(kind="DoubleStorage", length=2), shape=(2**24,), strides=(0,))
    attack("expanded_doubles.pt", "a double expanded to 64 MB of f32 by a stride of 0", "read: numbers are decoded piece by piece, within twice the file and 64 MiB", torch_zip(PROTO + mapping(w=wide) + STOP))
    attack("count_overflow.pt", "a shape of 2^32 by 2^32 by 4, whose product overflows", "Tensor: the size must fit 64 bits", one(shape=(2**32, 2**32, 4), strides=(0, 0, 0)))
    attack("empty_overflow.pt", "an empty shape whose other axes overflow", "Tensor: the size must fit 64 bits", one(shape=(0, 2**62, 2**62), strides=(0, 0, 0)))
    attack("axes.pt", "a shape of 100,000 axes", "Tensor: 32 axes", torch_zip(PROTO + mapping(w=tensor(shape=(1,) * 100_000, strides=(0,) * 100_000)) + STOP, deflate=True))
    names = mapping(w=tensor()) + b"q\0"
    for i in range(16):
        keys = [text("a" * 29), text("b" * 29)]
        names += b"0}(" + keys[0] + b"h" + bytes([i]) + keys[1] + b"h" + bytes([i]) + b"uq" + bytes([i + 1])
    attack("many_names.pt", "65,536 names of 480 letters for one tensor", "TooLarge: 16 MiB of names", torch_zip(PROTO + names + STOP, deflate=True))
    names = mapping(w=tensor(shape=(400,), strides=(0,))) + b"q\0"
    for i in range(15):
        keys = [text("a" * 14), text("b" * 14)]
        names += b"0}(" + keys[0] + b"h" + bytes([i]) + keys[1] + b"h" + bytes([i]) + b"uq" + bytes([i + 1])
    waste = b"(" + b"Nq\xff\x94\x85" * 400_000 + b"(" + b"h\xff" * 500_000 + b"l1"
    names = waste + names
    attack("all_at_once.pt", "800,000 values, a memo of 400,000, a list of 500,000, 32,768 names of 225 letters and 50 MB of numbers", "read: every limit is kept, and their sum is", torch_zip(PROTO + names + STOP, deflate=True))
    attack("long_names.pt", "a tensor's name of 100,000 letters", "TooLarge: 512 bytes of name", torch_zip(PROTO + mapping(**{"a" * 100_000: tensor()}) + STOP, deflate=True))
    part = b"".join([text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), number(4)])
    part = b"(" + part + many(text("v"), number(3), number(2)) + b"tQ"
    attack("part_outside.th", "a part of a storage that leaves it, in an old file", "Pickle: the part must lie inside", legacy(PROTO + mapping(w=tensor(part)) + STOP))
    attack("count_lies.th", "2^63 numbers in an old file's storage", "Contents: the pickle said 4", legacy(state(), storages=struct.pack("<Q4f", 2**63, 1, 2, 3, 4)))
    attack("storage_truncated.th", "an old file that ends in its storage", "Truncated: 16 bytes of numbers", legacy(state())[:-7])
    attack("storage_unknown.th", "an old file with a storage that nothing uses", "Contents: only storages that the pickle uses", legacy(state(), keys=("0", "1")))


def zips():
    code = state()
    floats = struct.pack("<4f", 1, 2, 3, 4)
    sound = [Entry("a/data.pkl", code), Entry("a/data/0", floats)]
    zeros = bytes(2 << 20)
    attack("bomb_pickle.pt", "a pickle of 2 MB in 2 KB, said to be 100 bytes", "Archive: it is cut off one byte after what it says", archive(Entry("a/data.pkl", b"N" * (2 << 20), True, size=100), sound[1]))
    attack("bomb_storage.pt", "a storage of 2 MB in 2 KB, said to be 16 bytes", "Archive: it is cut off one byte after what it says", archive(sound[0], Entry("a/data/0", zeros, True, size=16)))
    attack("bomb_claim.pt", "an entry that says 4 GB of itself", "TooLarge: refused before anything is unpacked", archive(*sound, Entry("a/data/1", floats, True, size=2**32 - 2)))
    attack("bomb_many.pt", "30 entries that say 2 MB each of themselves", "TooLarge: refused before anything is unpacked", archive(*sound, *[Entry(f"a/data/{i}", floats, True, size=2 << 20) for i in range(1, 31)]))
    attack("overlap_same.pt", "two entries with the same bytes", "Archive: entries may not overlap", archive(*sound, Entry("a/data/1", code, at=0)))
    # Fifield's: the local header of the second entry lies inside the data of the first.
    inner = archive(Entry("a/data/0", floats))
    inner = inner[: inner.index(b"PK\1\2")]
    first = Entry("a/data.pkl", code + inner)
    attack("overlap_inside.pt", "an entry inside another entry", "Archive: entries may not overlap", archive(first, Entry("a/data/0", floats, at=30 + len(first.name) + len(code))))
    attack("overlap_directory.pt", "an entry that has the directory as its data", "Archive: entries may not overlap", archive(sound[0], Entry("a/data/0", floats, size=16 + 60, stored=16 + 60)))
    attack("climbing_name.pt", "an entry called `../../etc/passwd`", "Archive: the name leaves the archive", archive(*sound, Entry("../../etc/passwd", b"root")))
    attack("climbing_pickle.pt", "a pickle called `../data.pkl`", "Archive: the name leaves the archive", archive(Entry("../data.pkl", code), Entry("../data/0", floats)))
    attack("absolute_name.pt", "an entry called `/etc/passwd`", "Archive: the name leaves the archive", archive(*sound, Entry("/etc/passwd", b"root")))
    attack("windows_name.pt", r"an entry called `C:\Windows\win.ini`", "Archive: the name leaves the archive", archive(*sound, Entry(r"C:\Windows\win.ini", b"root")))
    attack("symlink.pt", "a storage that is a symbolic link to /etc/passwd", "Archive: only plain files", archive(sound[0], Entry("a/data/0", b"/etc/passwd", mode=0o120777)))
    attack("two_pickles.pt", "two entries of the name `data.pkl`, the second hostile", "Archive: names must be their own", archive(*sound, Entry("a/data.pkl", PROTO + called("os", "system", text("true")) + STOP)))
    attack("no_pickle.pt", "no `data.pkl`", "Format: neither PyTorch nor Keras", archive(Entry("a/data/0", floats)))
    attack("no_storage.pt", "no entry for a storage", "Archive: no such entry", archive(sound[0]))
    attack("size_lies.pt", "a stored entry of 16 bytes that says 1 GB of itself", "Archive: stored means as long as it says", archive(sound[0], Entry("a/data/0", floats, size=1 << 30)))
    attack("size_leaves.pt", "a stored entry of 16 bytes that says 1 GB, twice", "Archive: it leaves the file", archive(sound[0], Entry("a/data/0", floats, size=1 << 30, stored=1 << 30)))
    extra = struct.pack("<HHQQ", 1, 16, 2**62, 2**62)
    attack("zip64_size.pt", "a zip64 entry of 2^62 bytes", "Archive: it leaves the file", archive(sound[0], Entry("a/data/0", floats, size=2**32 - 1, stored=2**32 - 1, extra=extra)))
    plain = archive(*sound)
    start = plain.index(b"PK\1\2")
    end = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 2**60, 2**60, len(plain) - 22 - start, start)
    end += b"PK\6\7" + struct.pack("<IQI", 0, len(plain) - 22, 1)
    attack("zip64_count.pt", "a zip64 directory of 2^60 entries", "Archive: they are not there", archive(*sound, count=0xFFFF, zip64_end=end))
    attack("count_more.pt", "a directory that says 65,000 entries and has 2", "Archive: they are not there", archive(*sound, count=65_000))
    attack("count_less.pt", "a directory that says 1 entry and has 2", "Archive: the count must be right", archive(*sound, count=1))
    attack("nested_zip.pt", "an archive as `data.pkl`", "Pickle: it is no pickle", torch_zip(archive(*sound)))
    attack("checksum.pt", "a storage whose checksum is wrong", "Archive: the bytes do not fit", archive(sound[0], Entry("a/data/0", floats, crc=1)))
    attack("method.pt", "an entry packed by a method without a decoder", "Archive: stored or deflated", archive(*sound).replace(b"\x14\0\0\0\0\0", b"\x14\0\0\0\x5d\0"))
    attack("encrypted.pt", "entries said to be encrypted", "Archive: only plain files", archive(*sound).replace(b"\x14\0\0\0\0\0", b"\x14\0\1\0\0\0"))
    attack("byteorder.pt", "a byte order of neither kind", "Contents: little or big", archive(*sound, Entry("a/byteorder", b"middle")))
    attack("zip_truncated.pt", "an archive cut in its directory", "Archive: no directory", archive(*sound)[:-30])


# HDF5.


def hdf5(fill, latest=False, **options):
    out = io.BytesIO()
    with h5py.File(out, "w", libver="latest" if latest else "earliest", **options) as f:
        fill(f)
    return out.getvalue()


def keras(fill, latest=True, names=("dense",), arrays=("kernel:0",)):
    """A file with a layer whose arrays `fill` puts into its group."""

    def whole(f):
        f.attrs["layer_names"] = np.array(names, "S")
        group = f.create_group("dense")
        group.attrs["weight_names"] = np.array(arrays, "S")
        fill(group)

    return hdf5(whole, latest)


def sound(group):
    group["kernel:0"] = np.arange(4, dtype="f4")


def chunked(shape, chunk, content, latest=True):
    def fill(group):
        array = group.create_dataset("kernel:0", shape, "f4", chunks=chunk, maxshape=(None,), compression="gzip")
        array.id.write_direct_chunk((0,), content)

    return keras(fill, latest)


def patched(content, old, new):
    assert content.count(old) >= 1, "nothing to patch"
    return content.replace(old, new)


def shared_names():
    content = bytearray(hdf5(lambda f: f.create_group("layers")))
    lists = struct.pack("<QQ", *struct.unpack_from("<QQ", content, 80))
    heap = len(content)
    data = heap + 32
    text = bytes(8) + b"a" * 1000 + bytes(16)
    node = data + len(text)
    content += b"HEAP" + bytes(4) + struct.pack("<QQQ", len(text), 2**64 - 1, data) + text
    content += b"SNOD\1\0" + struct.pack("<H", 128) + struct.pack("<QQII16x", 8, 96, 0, 0) * 128
    tree = len(content)
    content += b"TREE\0\0" + struct.pack("<HQQQ", 320, 2**64 - 1, 2**64 - 1, 0) + struct.pack("<QQ", node, 8) * 320
    content = content.replace(lists, struct.pack("<QQ", tree, heap))
    return bytes(content.replace(struct.pack("<Q", heap), struct.pack("<Q", len(content)), 1))


def hdf5s():
    attack("external_link.h5", "an array that is a link to another file", "Tensor: no file is opened", keras(lambda g: g.__setitem__("kernel:0", h5py.ExternalLink("/etc/passwd", "/x"))))
    attack("external_group.h5", "a layer that is a link to another file", "Hdf5: no file is opened", keras(lambda g: g.parent.__setitem__("far", h5py.ExternalLink("../other.h5", "/")), names=("far",)))
    attack("external_storage.h5", "an array whose numbers lie in /etc/passwd", "Tensor: no file is opened", keras(lambda g: g.create_dataset("kernel:0", (64,), "f4", external=[("/etc/passwd", 0, 256)])))

    def virtual(group):
        space = h5py.h5s.create_simple((64,))
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_virtual(space, b"/etc/passwd", b"x", space)
        plist.set_obj_track_times(False)
        h5py.h5d.create(group.id, b"kernel:0", h5py.h5t.IEEE_F32LE, space, plist)

    attack("virtual.h5", "an array that is a view of another file", "Tensor: no file is opened", keras(virtual, latest=True))

    def loop(group):
        group["kernel:0"] = h5py.SoftLink("/dense/other")
        group["other"] = h5py.SoftLink("/dense/kernel:0")

    attack("soft_loop.h5", "two links that name each other", "Tensor: no array there", keras(loop, latest=False))

    def cycle(f, links=1):
        group = f.create_group("layers")
        layer = group.create_group("dense")
        for index in range(links):
            layer[f"layers{'' if not index else index}"] = group

    attack("cycle.weights.h5", "a group inside itself", "TooLarge: 16 models deep", hdf5(cycle))

    def wide(f):
        group = f.create_group("layers")
        for index in range(10):
            group.create_group(f"dense_{index}")["layers"] = group

    attack("cycle_wide.weights.h5", "a group ten times inside itself", "TooLarge: 16 models deep", hdf5(wide, latest=True))

    def blind(f):
        """Three ways on every level, 14 levels: 4.8 million groups that hold nothing."""
        below = None
        for _ in range(14):
            group = f.create_group(None)
            for index in range(3):
                layer = group.create_group(f"d{index}")
                if below is not None:
                    layer["layers"] = below
            below = group
        f["layers"] = below

    attack("fan.weights.h5", "14 levels of three layers that share the next level: 4.8 million groups without an array", "TooLarge: 20,000 layers", hdf5(blind, latest=True))
    attack("shared_names.h5", "a group whose tree names one list of 128 entries 320 times, with names of 1,000 letters: 90 MB", "Hdf5: entries are paid for with their names", shared_names())
    attack("space.h5", "an array of 2^40 numbers of which none is stored", "TooLarge: twice the file and 64 MiB", keras(lambda g: g.create_dataset("kernel:0", (2**40,), "f4", chunks=(1024,))))
    attack("space_overflow.h5", "an array whose size overflows", "Tensor: the size must fit 64 bits", keras(lambda g: g.create_dataset("kernel:0", (2**20, 2**20, 2**21), "f4", chunks=(1, 1, 64)), latest=False).replace(struct.pack("<3Q", 2**20, 2**20, 2**21), struct.pack("<3Q", 2**40, 2**40, 2**40)))
    attack("space_zeros.h5", "15 million numbers of which none is stored", "Tensor: twice the file and 16 MiB are decoded", keras(lambda g: g.create_dataset("kernel:0", (15 * 10**6,), "f4", chunks=(1024,))))
    attack("space_chunks.h5", "100 million numbers in chunks of one number", "TooLarge: twice the file and 64 MiB", keras(lambda g: g.create_dataset("kernel:0", (10**8,), "f4", chunks=(1,)), latest=False))
    attack("small_chunks.h5", "4 million numbers in chunks of one number of which none is stored", "read: zeros, within twice the file and 16 MiB", keras(lambda g: g.create_dataset("kernel:0", (4 * 10**6,), "f4", chunks=(1,)), latest=False))
    attack("chunk_huge.h5", "a chunk of 2 GB for an array of 4 numbers", "Tensor: chunks have a limit", chunked((4,), (2**29,), zlib.compress(bytes(4096), 9)))
    attack("chunk_bomb.h5", "a chunk of 16 bytes that unpacks to 2 MB", "Tensor: a chunk unpacks to what it says", chunked((4,), (4,), zlib.compress(bytes(2 << 20), 9), latest=False))
    attack("chunk_short.h5", "a chunk that unpacks to less than it says", "Tensor: a chunk unpacks to what it says", chunked((1024,), (1024,), zlib.compress(bytes(16), 9)))
    attack("chunk_garbage.h5", "a chunk that is no stream", "Tensor: the stream is damaged", chunked((4,), (4,), b"\xff" * 64))
    names = [f"{'/' * index}kernel:0" for index in range(20)]
    attack("again.h5", "an array of 4 MB of zeros under 20 names", "TooLarge: twice the file and 64 MiB for all", keras(lambda g: g.create_dataset("kernel:0", (2**20,), "f4", chunks=(2**20,)), arrays=names))
    plain = keras(sound, latest=False)
    attack("truncated.h5", "a file cut in its middle", "Hdf5: the bytes are not there", plain[: len(plain) // 2])
    attack("header_only.h5", "a file that ends after its first line", "Hdf5: the bytes are not there", plain[:12])
    attack("superblock.h5", "a root that lies at 2^64-16", "Hdf5: the bytes are not there", plain[:56] + b"\xf0" + b"\xff" * 15 + plain[72:])
    attack("offsets.h5", "addresses of 255 bytes", "Hdf5: 8 bytes", plain[:13] + b"\xff\xff" + plain[15:])
    attack("layer_missing.h5", "a layer that has no group", "Hdf5: no such group", keras(sound, names=("nowhere",)))
    attack("layer_climbs.h5", "a layer called `../..`", "Hdf5: the name is no path inside", keras(sound, names=("../..",)))
    attack("array_climbs.h5", "an array called `../../etc/passwd`", "Hdf5: the name is no path inside", keras(sound, arrays=("../../etc/passwd",)))
    attack("array_missing.h5", "an array that is not there", "Tensor: no array there", keras(sound, arrays=("bias:0",)))
    attack("array_is_group.h5", "an array that is a group", "Tensor: no array there", keras(lambda g: g.create_group("kernel:0")))
    attack("names_missing.h5", "a layer without a list of arrays", "Contents: no layer with weights", hdf5(lambda f: (f.attrs.__setitem__("layer_names", np.array(["dense"], "S")), f.create_group("dense"))))
    attack("names_numbers.h5", "a list of layers that is numbers", "Hdf5: texts", hdf5(lambda f: f.attrs.__setitem__("layer_names", np.arange(4))))
    attack("layers_repeated.h5", "300 times the same layer", "Tensor: names must be their own", keras(sound, names=("dense",) * 300))
    attack("compound.h5", "an array of records", "Type: numbers only", keras(lambda g: g.create_dataset("kernel:0", data=np.zeros(4, [("a", "f4"), ("b", "S9")]))))
    attack("references.h5", "an array of references into the file", "Type: numbers only", keras(lambda g: g.create_dataset("kernel:0", data=[g.ref], dtype=h5py.ref_dtype)))

    def filtered(group):
        space = h5py.h5s.create_simple((4,), (4,))
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_obj_track_times(False)
        plist.set_chunk((4,))
        plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
        h5py.h5d.create(group.id, b"kernel:0", h5py.h5t.IEEE_F32LE, space, plist).write_direct_chunk((0,), bytes(64))

    attack("filter.h5", "a filter that would have to be loaded", "Tensor: no filter is loaded", keras(filtered))
    name_text = "layer" * 300
    attack("long_layer.h5", "a layer's name of 1,500 letters", "Hdf5: names have a limit", keras(sound, names=(name_text,)))
    config = json.dumps({"class_name": "Sequential", "config": [{"class_name": "Lambda", "config": {"name": "evil", "function": ["4wEAAA==", None, None]}}]})
    attack("lambda.h5", "a Lambda layer with marshalled Python", "Code: names the layer", hdf5(lambda f: (f.attrs.__setitem__("model_config", np.bytes_(config)), f.create_group("model_weights").attrs.__setitem__("layer_names", np.array(["evil"], "S")))))
    vlen = hdf5(lambda f: f.attrs.__setitem__("model_config", "{}" + " " * 500))
    attack("text_lies.h5", "a text of 2^31 bytes in a heap of 4 KB", "Hdf5: the bytes are not there", patched(vlen, struct.pack("<I", 502), struct.pack("<I", 2**31)))


# Keras archives.


def keras_zip(config, *more, weights=None, deflate=False):
    def fill(f):
        f.create_group("layers").create_group("dense").create_group("vars")["0"] = np.ones((2, 2), "f4")

    weights = hdf5(fill) if weights is None else weights
    config = config if isinstance(config, bytes) else json.dumps(config).encode()
    return archive(Entry("config.json", config, deflate), Entry("model.weights.h5", weights, True), *more)


def kerases():
    def model(*layers):
        return {"module": "keras", "class_name": "Sequential", "config": {"name": "m", "layers": list(layers)}}

    dense = {"module": "keras.layers", "class_name": "Dense", "config": {"name": "dense", "units": 2}}
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAA==", "defaults": None, "closure": None}}
    layer = {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "evil", "function": code}}
    attack("lambda.keras", "a Lambda layer with marshalled Python", "Code: names the layer", keras_zip(model(dense, layer)))
    hidden = {**dense, "config": {**dense["config"], "activation": code}}
    attack("lambda_hidden.keras", "a lambda as activation of a Dense layer", "Code: names it", keras_zip(model(hidden)))
    other = {"module": "os", "class_name": "system", "registered_name": "os>system", "config": {"name": "dense", "command": "true"}}
    attack("module.keras", "a layer of module `os` and class `system` (as CVE-2025-1550)", "read: modules are not looked at, names are text", keras_zip(model(other)))
    attack("climbing_name.keras", "an entry called `../../etc/cron.d/x`", "Archive: the name leaves the archive", keras_zip(model(dense), Entry("../../etc/cron.d/x", b"* * * * *")))
    attack("absolute_name.keras", "an entry called `/tmp/model.weights.h5`", "Archive: the name leaves the archive", keras_zip(model(dense), Entry("/tmp/model.weights.h5", b"")))
    attack("deep_config.keras", "lists 100,000 deep in config.json", "Contents: the parser's limit", keras_zip(b"[" * 100_000 + b"]" * 100_000, deflate=True))
    deep = dense
    for index in range(60):
        deep = {"class_name": "Sequential", "config": {"name": f"m{index}", "layers": [deep]}}
    attack("deep_models.keras", "models 60 deep, each a list and two mappings", "Contents: the parser's limit", keras_zip(deep))
    attack("long_config.keras", "a config.json of 5 MB of spaces in 5 KB", "TooLarge: 4 MB of configuration", keras_zip(b"{}" + b" " * (5 << 20), deflate=True))
    wide = b'{"config":{"layers":[' + b"0," * 1_800_000 + b"0]}}"
    attack("wide_config.keras", "a config.json of 2 million numbers in 4 KB", "read: JSON of 4 MB takes 60 MB", keras_zip(wide, deflate=True))
    objects = b'{"config":[' + b'{"":0},' * 500_000 + b"0]}"
    attack("many_objects.keras", "a config.json of 500,000 mappings in 4 KB: 320 MB in memory", "TooLarge: 150,000 mappings", keras_zip(objects, deflate=True))
    deep = b"0," * 1_500_000 + b"0"
    for index in range(38):
        deep = b'{"class_name":"Sequential","config":{"name":"m","layers":[' + deep + b"]}}"
    attack("copied_config.keras", "models 38 deep around 3 MB of numbers: a copy for each would be 1.8 GB", "read: no model's settings are kept", keras_zip(deep, deflate=True))
    attack("no_weights.keras", "no model.weights.h5", "Contents: an entry model.weights.h5", archive(Entry("config.json", json.dumps(model(dense)).encode())))
    attack("pickle_weights.keras", "a pickle as model.weights.h5", "Hdf5: it is none", keras_zip(model(dense), weights=state()))
    attack("external.keras", "an array that is a link to another file", "Contents: no array is found and no file is opened", keras_zip(model(dense), weights=hdf5(lambda f: f.create_group("layers/dense/vars").__setitem__("0", h5py.ExternalLink("/etc/passwd", "/x")))))


def safetensors():
    def file(header, data=b""):
        header = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(header)) + header + data

    def entry(shape, start, end, dtype="F32"):
        return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}

    attack("overlap.safetensors", "two tensors that share bytes", "Header: offsets", file({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, bytes(12)))
    attack("hole.safetensors", "bytes that belong to no tensor", "Header: offsets", file({"a": entry([1], 0, 4), "b": entry([1], 8, 12)}, bytes(12)))
    attack("tail.safetensors", "bytes behind the last tensor", "Header: offsets", file({"a": entry([1], 0, 4)}, bytes(4096)))
    attack("backwards.safetensors", "a tensor that ends before it begins", "Header: offsets", file({"a": entry([1], 8, 4)}, bytes(8)))
    attack("outside.safetensors", "a tensor that leaves the file", "Truncated: ends before its tensors", file({"a": entry([2**40], 0, 2**42)}, bytes(8)))
    attack("header_huge.safetensors", "a header of 2^63 bytes", "HeaderTooLong: 32 MiB", struct.pack("<Q", 2**63) + b'{"a":1}')
    attack("header_long.safetensors", "a header longer than the file", "Truncated: the bytes are not there", struct.pack("<Q", 1 << 20) + b'{"a":1}')
    attack("shape_overflow.safetensors", "a shape whose product overflows", "Header: the product", file({"a": entry([2**32, 2**32, 2**32], 0, 8)}, bytes(8)))
    attack("shape_negative.safetensors", "a shape of -1", "Header: a whole number", file({"a": entry([-1], 0, 4)}, bytes(4)))
    attack("shape_float.safetensors", "a shape of 1e30", "Header: a whole number", file({"a": entry([1e30], 0, 4)}, bytes(4)))
    attack("offsets_overflow.safetensors", "offsets of 2^64-1", "Header: offsets", file({"a": entry([1], 2**64 - 5, 2**64 - 1)}, bytes(8)))
    two = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'
    attack("two_names.safetensors", "two tensors of one name", "Header: names must be their own", file(two, bytes(8)))
    same = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}'
    attack("two_meanings.safetensors", "one name and one place with two types", "Header: names must be their own", file(same, bytes(4)))
    attack("deep.safetensors", "lists 100,000 deep in the header", "Header: the parser's limit", file(b'{"a":' + b"[" * 100_000))
    attack("type.safetensors", "a type that is not known", "Header: a known type", file({"a": entry([1], 0, 4, "U128")}, bytes(4)))
    attack("float8.safetensors", "a type without a meaning here", "Type: names it", file({"a": entry([4], 0, 4, "F8_E4M3")}, bytes(4)))
    attack("no_json.safetensors", "a header that is no JSON", "Header: JSON", file(b"{" + b"\xff" * 40))


shutil.rmtree(FILES, ignore_errors=True)
FILES.mkdir()
for group in (pickles, tensors, zips, hdf5s, kerases, safetensors):
    group()
HEAD = (HERE / "README.md").read_text().split("\n| file |")[0] if (HERE / "README.md").exists() else "# Hostile weight files\n"
TABLE = ["", "| file | what it tries | what must happen |", "|---|---|---|"]
TABLE += [f"| {file} | {tries} | {must} |" for file, tries, must in ROWS]
(HERE / "README.md").write_text(HEAD + "\n".join(TABLE) + "\n")
