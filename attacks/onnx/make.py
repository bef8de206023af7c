"""Writes hostile ONNX files into files/, the same bytes every time, and README.md. Needs numpy and onnx.

Every file must be refused with an error, within 5 seconds and 256 MiB, without a panic and without opening a file.
"""

import pathlib

import numpy as np
from onnx import SparseTensorProto, TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).resolve().parent
FILES = HERE / "files"
TABLE = []


def put(name, what, data):
    if not isinstance(data, bytes):
        data = data.SerializeToString(deterministic=True)
    (FILES / f"{name}.onnx").write_bytes(data)
    TABLE.append((name, what, len(data)))


# For pieces that are written by hand: opset 17.
OPSET = b"\x42\x02\x10\x11"


def info(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes, stored=(), shape=(1, 3, 8, 8), kind=TensorProto.FLOAT, out="out", sparse=(), functions=(), domains=()):
    graph = helper.make_graph(
        nodes, "attack", [info("input", shape, kind)], [info(out, None)], list(stored), sparse_initializer=list(sparse)
    )
    opsets = [helper.make_opsetid("", 17)] + [helper.make_opsetid(domain, 1) for domain in domains]
    return helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=8)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=f"node_{outputs[0]}" if outputs else op, **attributes)


def ints(name, values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


def floats(name, *shape):
    return numpy_helper.from_array(np.full(shape, 0.5, np.float32), name)


def claims(name, dims, raw=b"\0\0\0\0", kind=TensorProto.FLOAT):
    tensor = TensorProto(name=name, data_type=kind, raw_data=raw)
    tensor.dims.extend(dims)
    return tensor


def external(location, offset=None):
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.dims.extend([3, 1, 1])
    tensor.external_data.add(key="location", value=location)
    if offset is not None:
        tensor.external_data.add(key="offset", value=offset)
    return model([node("Add", ["input", "w"], ["out"])], [tensor])


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def add(stored, **changes):
    return model([node("Add", ["input", "w"], ["out"])], [stored], **changes)


def conv(weights=(4, 3, 3, 3), **attributes):
    return model([node("Conv", ["input", "w"], ["out"], **attributes)], [floats("w", *weights)])


def conv_of(weights, shape):
    return model([node("Conv", ["input", "w"], ["out"], pads=[weights[-1] // 2] * 4)], [floats("w", *weights)], shape=shape)


def external_data():
    put("external_up", "weights in `../../../etc/passwd`", external("../../../etc/passwd"))
    put("external_absolute", "weights in `/etc/passwd`", external("/etc/passwd", "0"))
    put("external_beside", "weights in `weights.bin` beside it", external("weights.bin"))
    put("external_device", "weights in `/dev/zero`, from an offset that is no number", external("/dev/zero", "-1e9"))
    inner = TensorProto(data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    inner.external_data.add(key="location", value="/proc/self/environ")
    put("external_attribute", "a constant's value in `/proc/self/environ`", model([
        node("Constant", [], ["w"], value=inner), node("Add", ["input", "w"], ["out"]),
    ]))


def sizes():
    put("huge_dims", "4 bytes that claim to be 2^62 numbers", add(claims("w", [1 << 31, 1 << 31])))
    put("dims_overflow", "sides whose product is 0 modulo 2^64", add(claims("w", [1 << 32, 1 << 32])))
    put("dims_zero", "a side of 0 beside one of 2^62", add(claims("w", [0, 1 << 62], b"")))
    put("dims_negative", "a side of -1", add(claims("w", [-1])))
    put("raw_short", "2 bytes for a million numbers", add(claims("w", [1000, 1000], b"\0\0")))
    put("many_axes", "a tensor of 100,000 axes", add(claims("w", [1] * 100_000)))
    put("input_huge", "a picture of 2^40 pixels", model([node("Relu", ["input"], ["out"])], shape=(1, 3, 1 << 20, 1 << 20)))
    put("input_negative", "a picture with a side of -5", model([node("Relu", ["input"], ["out"])], shape=(1, 3, -5, 8)))
    put("input_batch", "a batch of 2^31", model([node("Relu", ["input"], ["out"])], shape=(1 << 31, 3, 8, 8)))


def bombs():
    big = ints("big", [1, 3, 1 << 20, 1 << 20])
    put("constant_of_shape", "ConstantOfShape of 2^41 numbers", model(
        [node("ConstantOfShape", ["big"], ["c"]), node("Add", ["input", "c"], ["out"])], [big]))
    put("constants_many", "1,000 ConstantOfShape of 16 MB each", model(
        [node("ConstantOfShape", ["side"], [f"c{i}"]) for i in range(1000)]
        + [node("Add", [f"s{i - 1}" if i else "input", f"c{i}"], [f"s{i}" if i < 999 else "out"]) for i in range(1000)],
        [ints("side", [1, 1, 2048, 2048])], shape=(1, 1, 2048, 2048)))
    put("tile", "Tile a million times each way", model(
        [node("Tile", ["input", "n"], ["out"])], [ints("n", [1, 1, 1_000_000, 1_000_000])]))
    put("expand", "Expand of one number to 2^41", model(
        [node("ReduceMean", ["input"], ["m"]), node("Expand", ["m", "big"], ["out"])], [big]))
    put("range", "Range of 2^62 numbers", model(
        [node("Range", ["a", "b", "c"], ["r"]), node("Cast", ["r"], ["f"], to=1), node("Add", ["input", "f"], ["out"])],
        [ints("a", 0), ints("b", 1 << 62), ints("c", 1)]))
    put("range_zero", "Range with a step of 0", model(
        [node("Range", ["a", "b", "c"], ["r"]), node("Cast", ["r"], ["f"], to=1), node("Add", ["input", "f"], ["out"])],
        [ints("a", 0), ints("b", 5), ints("c", 0)]))
    put("resize", "Resize by a million each way", model(
        [node("Resize", ["input", "", "s"], ["out"], mode="nearest")],
        [numpy_helper.from_array(np.array([1, 1, 1e6, 1e6], np.float32), "s")]))
    put("concat_doubling", "Concat with itself, 40 times over", model(
        [node("Concat", [f"c{i}" if i else "input"] * 2, [f"c{i + 1}" if i < 39 else "out"], axis=1) for i in range(40)]))
    put("pad", "Pad by 2^40", model([node("Pad", ["input", "p"], ["out"])], [ints("p", [0, 0, 0, 0, 0, 0, 1 << 40, 0])]))
    put("one_hot", "OneHot with a depth of 2^40", model(
        [node("OneHot", ["i", "d", "v"], ["h"]), node("Add", ["input", "h"], ["out"])],
        [ints("i", [0]), ints("d", 1 << 40), floats("v", 2)]))
    put("outer_product", "MatMul of a column with a row, 64 GB", model(
        [node("MatMul", ["a", "b"], ["m"]), node("ReduceMean", ["m"], ["r"], keepdims=0), node("Add", ["input", "r"], ["out"])],
        [floats("a", 1 << 12, 1), floats("b", 1, 1 << 12)][:0]
        + [claims("a", [1 << 17, 1], b"\0" * (4 << 17)), claims("b", [1, 1 << 17], b"\0" * (4 << 17))]))
    put("work", "100 convolutions of 2.4 x 10^9 products each", model(
        [node("Conv", ["input", "w"], ["c0"], pads=[1] * 4)]
        + [node("Conv", [f"c{i}", "v"], [f"c{i + 1}" if i < 99 else "out"], pads=[1] * 4) for i in range(100)],
        [floats("w", 64, 3, 3, 3), floats("v", 64, 64, 3, 3)], shape=(1, 3, 256, 256)))
    put("live", "200 maps of 12 MB that are all needed at the end", model(
        [node("Relu", ["input"], [f"r{i}"]) for i in range(200)]
        + [node("Add", [f"s{i - 1}" if i else "input", f"r{199 - i}"], [f"s{i}" if i < 199 else "out"]) for i in range(200)],
        shape=(1, 3, 1024, 1024)))
    put("columns", "a convolution whose patches take 1.4 GB", conv_of((4, 3, 41, 41), (1, 3, 512, 512)))


def nesting():
    inner = helper.make_graph([node("Relu", ["input"], ["deep"])], "inner", [], [info("deep", None)])
    for level in range(6):
        inner = helper.make_graph(
            [node("If", ["c"], [f"if{level}"], then_branch=inner, else_branch=inner)], f"g{level}", [], [info(f"if{level}", None)])
    put("nested_if", "If in If, six deep and both ways", model(
        [node("If", ["c"], ["out"], then_branch=inner, else_branch=inner)], [numpy_helper.from_array(np.array(True), "c")]))
    body = helper.make_graph(
        [node("Identity", ["go"], ["on"]), node("Relu", ["x"], ["y"])], "body",
        [info("i", [], TensorProto.INT64), info("go", [], TensorProto.BOOL), info("x", None)],
        [info("on", [], TensorProto.BOOL), info("y", None)])
    put("loop", "a Loop of 2^62 turns", model(
        [node("Loop", ["n", "c", "input"], ["out"], body=body)],
        [ints("n", 1 << 62), numpy_helper.from_array(np.array(True), "c")]))
    scan = helper.make_graph([node("Relu", ["x"], ["y"])], "scan", [info("x", None)], [info("y", None)])
    put("scan", "a Scan over the rows", model([node("Scan", ["input"], ["out"], body=scan, num_scan_inputs=1)]))
    # A graph in an attribute of a node of a graph: bytes by hand, for no encoder goes so deep.
    parts, length = [], 0
    for level in range(30_000):
        number = (6, 5, 1)[level % 3]
        head = varint(number << 3 | 2) + varint(length)
        parts.append(head)
        length += len(head)
    put("deep_graphs", "10,000 graphs in one another", field(7, b"".join(reversed(parts))))
    call = node("again", ["a"], ["b"], domain="local")
    function = helper.make_function("local", "again", ["a"], ["b"], [call], [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)])
    put("recursive_function", "a function that calls itself", model(
        [node("again", ["input"], ["out"], domain="local")], functions=[function], domains=["local"]))
    put("cycle", "two nodes that read each other", model(
        [node("Add", ["input", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["out"])]))
    put("self_reader", "a node that reads itself", model([node("Add", ["input", "out"], ["out"])]))
    put("twice", "one name given twice", model([node("Relu", ["input"], ["out"]), node("Abs", ["input"], ["out"])]))


def bytes_that_lie():
    good = model([node("Relu", ["input"], ["out"])]).SerializeToString(deterministic=True)
    put("truncated", "half a model", good[: len(good) // 2])
    put("length_lie", "a graph that claims 2^60 bytes", varint(7 << 3 | 2) + varint(1 << 60) + good)
    put("varint_endless", "a length of eleven bytes", varint(7 << 3 | 2) + b"\xff" * 11)
    put("groups", "a protobuf group that never ends", b"\x3b" * 1000)
    put("empty_nodes", "50,000 empty nodes in 100 kB", field(7, b"\x0a\x00" * 50_000))
    put("empty_tensors", "400,000 empty tensors in 800 kB", field(7, b"\x2a\x00" * 400_000))
    put("empty_dims", "200,000 sides in 200 kB", OPSET + field(7, field(5, field(1, b"\x01" * 200_000))))
    put("no_graph", "a version and nothing else", b"\x08\x08")
    put("not_text", "an operation whose name is not UTF-8", field(7, field(1, field(4, b"\xff\xfe") + field(2, b"out"))))


def kinds():
    text = TensorProto(name="w", data_type=TensorProto.STRING, string_data=[b"a"])
    text.dims.extend([1])
    put("strings", "weights that are text", add(text))
    put("unknown_kind", "weights of the kind 9999", add(claims("w", [1], kind=9999)))
    put("custom_op", "an operation of the domain `com.evil`", model(
        [node("Steal", ["input"], ["out"], domain="com.evil")], domains=["com.evil"]))
    put("contrib_op", "an operation that tract knows and the standard does not", model(
        [node("FastGelu", ["input"], ["out"], domain="com.microsoft")], domains=["com.microsoft"]))
    put("random", "RandomNormalLike", model([node("RandomNormalLike", ["input"], ["out"])]))
    put("half", "a picture of 16-bit floats", model([node("Relu", ["input"], ["out"])], kind=TensorProto.FLOAT16))
    values = TensorProto(name="w", data_type=TensorProto.FLOAT, float_data=[1.0])
    values.dims.extend([1])
    indices = TensorProto(data_type=TensorProto.INT64, int64_data=[1 << 61])
    indices.dims.extend([1])
    sparse = SparseTensorProto(values=values, indices=indices)
    sparse.dims.extend([1 << 62])
    put("sparse", "a sparse tensor of 2^62 numbers", model([node("Add", ["input", "w"], ["out"])], sparse=[sparse]))


def windows():
    put("kernel_huge", "a pooling with a kernel of 2^40", model(
        [node("MaxPool", ["input"], ["out"], kernel_shape=[1 << 40, 1 << 40], pads=[1 << 40] * 4)]))
    put("kernel_lie", "a kernel that is not that of the weights", conv(kernel_shape=[1 << 30, 1 << 30]))
    put("pads_huge", "pads of 2^40", conv(pads=[1 << 40] * 4))
    put("pads_negative", "pads of -2^62", conv(pads=[-(1 << 62)] * 4))
    put("strides_zero", "strides of 0", conv(strides=[0, 0]))
    put("strides_pool", "strides of 0 of a pooling", model(
        [node("AveragePool", ["input"], ["out"], kernel_shape=[2, 2], strides=[0, 0])]))
    put("dilations_huge", "dilations of 2^62", conv(dilations=[1 << 62, 1 << 62]))
    put("group_zero", "a convolution in 0 groups", conv(group=0))
    put("group_negative", "a convolution in -3 groups", conv(group=-3))
    put("axis_far", "Softmax along the axis 2^62", model([node("Softmax", ["input"], ["out"], axis=1 << 62)]))
    put("reshape_overflow", "Reshape to sides whose product is 192 modulo 2^64", model(
        [node("Reshape", ["input", "s"], ["out"])], [ints("s", [192, (1 << 62) + 1, 1])]))
    put("reshape_negative", "Reshape with two open sides", model([node("Reshape", ["input", "s"], ["out"])], [ints("s", [-1, -1])]))
    put("reshape_input", "Reshape to a shape that is in the picture", model(
        [node("Cast", ["input"], ["i"], to=7), node("Reshape", ["input", "i"], ["out"])]))
    put("gather_far", "Gather at -2^62", model([node("Gather", ["input", "i"], ["out"])], [ints("i", [-(1 << 62)])]))
    put("slice_step", "Slice with a step of -2^63", model(
        [node("Slice", ["input", "a", "b", "x", "t"], ["out"])],
        [ints("a", [0]), ints("b", [8]), ints("x", [2]), ints("t", [-(1 << 63)])]))
    put("split_lie", "Split into parts larger than the whole", model(
        [node("Split", ["input", "s"], ["a", "b"], axis=1), node("Relu", ["a"], ["out"])], [ints("s", [1 << 62, 1 << 62])]))
    put("divide_zero", "integers divided by 0", model(
        [node("Div", ["a", "b"], ["c"]), node("ConstantOfShape", ["c"], ["d"]), node("Add", ["input", "d"], ["out"])],
        [ints("a", [1]), ints("b", [0])]))


def slowness():
    chain = [node("Relu", [f"c{i}" if i else "input"], [f"c{i + 1}" if i < 19_998 else "out"]) for i in range(19_999)]
    put("chain", "19,999 nodes in a row", model(chain))
    wide = [node("Mul", ["k", "k"], [f"k{i}"]) for i in range(15_000)]
    put("known_arithmetic", "15,000 products of 1,024 known numbers", model(
        wide + [node("Loop", ["input"], ["out"])], [floats("k", 1024)]))
    diamonds = [node("Add", [f"d{i}" if i else "input"] * 2, [f"d{i + 1}" if i < 9_999 else "out"]) for i in range(10_000)]
    put("diamonds", "10,000 nodes that each read the last one twice", model(diamonds))
    put("input_names", "30,000 inputs, all of them stored", OPSET + field(7, b"".join(
        field(5, field(8, str(i).encode()) + b"\x10\x01\x08\x00") + field(11, field(1, str(i).encode())) for i in range(30_000))))
    put("control", "names that would write to the terminal", model(
        [node("Relu", ["input"], ["\x1b[2J\x1b]0;evil\x07"])], out="\x1b[2J\x1b]0;evil\x07"))


if __name__ == "__main__":
    FILES.mkdir(exist_ok=True)
    for old in FILES.glob("*.onnx"):
        old.unlink()
    for make in (external_data, sizes, bombs, nesting, bytes_that_lie, kinds, windows, slowness):
        make()
    rows = "".join(f"| `{name}.onnx` | {size} | {what} |\n" for name, what, size in TABLE)
    (HERE / "README.md").write_text(
        "# Hostile ONNX files\n\nWritten by `make.py` (numpy, onnx), the same bytes every time. "
        "`crates/engraft/tests/onnx.rs` opens each in a\nprocess of its own: every one must be refused with an error, "
        "within 5 seconds and the size of the file + 256 MiB, without a\npanic.\n\n"
        "| file | bytes | what it tries |\n|---|---:|---|\n" + rows
    )
