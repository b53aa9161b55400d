"""From a float ONNX model to codes: folding changes nothing, layers get codes, blame finds the culprit."""

import io
import json
import os
import sys

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from quantnotes import (  # noqa: E402
    INT4,
    INT8,
    INT8_NARROW,
    INT16,
    UINT4,
    UINT8,
    UINT16,
    Histogram,
    IntGrid,
    Range,
    choose_range,
    fake_quantize,
    formats,
    make_params,
    samples,
)
from quantnotes import __main__ as command_line  # noqa: E402
from quantnotes import onnx_model as om  # noqa: E402
from quantnotes.onnx_model.blame import LayerBlame, Report, TensorReport  # noqa: E402
from quantnotes.onnx_model.command import _parser, _progress, read_batches  # noqa: E402
from quantnotes.onnx_model.graph import Graph, folded_graph, run, with_outputs  # noqa: E402
from quantnotes.onnx_model.writing import seen  # noqa: E402

RNG = np.random.default_rng(0)


def model_of(nodes, constants, inputs, outputs, opset=17, integers=()):
    real, labels = TensorProto.FLOAT, {name for n in nodes if n.op_type == "ArgMax" for name in n.output}
    made = helper.make_model(
        helper.make_graph(
            nodes,
            "test",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in inputs.items()],
            [
                helper.make_tensor_value_info(n, TensorProto.INT64 if n in labels else real, None)
                for n in outputs
            ],
            [numpy_helper.from_array(np.asarray(x, np.float32), n) for n, x in constants.items()]
            + [numpy_helper.from_array(np.asarray(x), n) for n, x in dict(integers).items()],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
    )
    made = onnx.shape_inference.infer_shapes(made)  # the shapes of the outputs
    onnx.checker.check_model(made)
    return made


def outputs_of(model, batch, names=None):
    return run(om.session(model, optimize=False), batch, names)


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs.split(), [output], output, **attributes)


def table_of(found):
    """The lines of what is printed, without the notes below."""
    return str(found).split("\n\n")[0].splitlines()


def ops(model):
    return [n.op_type for n in model.graph.node]


W = RNG.normal(size=(6, 4, 3, 3)).astype(np.float32)
NORM = {
    "gamma": RNG.uniform(0.1, 3, 6),
    "beta": RNG.normal(size=6),
    "mean": RNG.normal(size=6),
    "var": RNG.uniform(0.01, 4, 6),
}


def small_network(opset=17):
    """Convolution, normalization, ReLU, depthwise convolution, pooling, a dense layer, softmax."""
    rng = np.random.default_rng(0)
    return model_of(
        [
            node("Conv", "x w b", "conv", pads=[1, 1, 1, 1]),
            node("BatchNormalization", "conv gamma beta mean var", "norm"),
            node("Relu", "norm", "relu"),
            node("Conv", "relu dw", "deep", group=6, pads=[1, 1, 1, 1]),
            node("Add", "deep shift", "shifted"),
            node("GlobalAveragePool", "shifted", "pool"),
            node("Flatten", "pool", "flat"),
            node("Gemm", "flat dense bias", "scores", transB=1),
            node("Softmax", "scores", "probabilities"),
        ],
        {
            "w": W,
            "b": rng.normal(size=6),
            **NORM,
            "dw": rng.normal(size=(6, 1, 3, 3)),
            "shift": rng.normal(size=(6, 1, 1)),
            "dense": rng.normal(size=(5, 6)),
            "bias": rng.normal(size=5),
        },
        {"x": ["n", 4, 8, 8]},
        ["probabilities"],
        opset,
    )


def batches(count=4, rows=8, seed=1):
    rng = np.random.default_rng(seed)
    return [{"x": rng.normal(size=(rows, 4, 8, 8)).astype(np.float32)} for _ in range(count)]


# --- folding ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", [11, 13, 17, 21])
def test_folding_changes_nothing(opset):
    model = small_network(opset)
    before = model.SerializeToString()
    folded = om.fold(model, check=batches(1))
    assert model.SerializeToString() == before
    assert "BatchNormalization" not in ops(folded)
    assert "Add" not in ops(folded)
    assert sum(n.op_type == "Conv" for n in folded.graph.node) == 2
    (a,), (b,) = outputs_of(model, batches(1)[0]), outputs_of(folded, batches(1)[0])
    np.testing.assert_allclose(a, b, atol=1e-5)
    onnx.checker.check_model(folded)


def test_folded_weights_are_rounded_once():
    """From what float64 gives."""
    model = small_network()
    constants, folded = (
        {t.name: numpy_helper.to_array(t) for t in m.graph.initializer} for m in (model, om.fold(model))
    )
    gamma, beta, mean, var, b = (constants[n].astype(np.float64) for n in [*NORM, "b"])
    factor = gamma / np.sqrt(var + 1e-5)
    wanted = W.astype(np.float64) * factor[:, None, None, None], b * factor + beta - mean * factor
    for name, exact in zip("wb", wanted, strict=True):
        np.testing.assert_array_equal(folded[name], exact.astype(np.float32), strict=True)


def test_folding_keeps_names():
    folded = om.fold(small_network())
    assert [n.output[0] for n in folded.graph.node][:3] == ["norm", "relu", "shifted"]


def test_weights_in_constant_nodes_and_behind_reshapes():
    model = model_of(
        [
            helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(W)),
            node("Conv", "x w", "conv"),
            helper.make_node("Constant", [], ["shape"], value_ints=[1, 6, 1, 1]),
            node("Reshape", "offset shape", "column"),
            node("Add", "conv column", "y"),
        ],
        {"offset": RNG.normal(size=6)},
        {"x": [1, 4, 8, 8]},
        ["y"],
    )
    folded = om.fold(model)
    assert ops(folded) == ["Conv"]
    np.testing.assert_allclose(
        outputs_of(model, batches(1, 1)[0])[0], outputs_of(folded, batches(1, 1)[0])[0], atol=1e-5
    )


@pytest.mark.parametrize(
    "stored",
    [
        {"value": numpy_helper.from_array(np.arange(6, dtype=np.uint8).reshape(2, 3))},
        {"value": numpy_helper.from_array(np.array(2.5, np.float16))},
        {"value_float": 0.1},
        {"value_floats": [0.1, -2.0]},
        {"value_int": 2**40 + 1},
        {"value_ints": [1, -(2**40)]},
        {"value_ints": [7]},
        {"value_string": "no number"},
        {"value_strings": ["no", "number"]},
    ],
    ids=str,
)
def test_constants_are_what_the_reference_gives(stored):
    constant = helper.make_node("Constant", [], ["c"], **stored)
    outputs = [helper.make_empty_tensor_value_info("c")]
    model = helper.make_model(
        helper.make_graph([constant], "test", [], outputs), opset_imports=[helper.make_opsetid("", 17)]
    )
    (wanted,) = ReferenceEvaluator(model).run(["c"], {})
    graph = Graph.of(model)
    if wanted.dtype.kind not in "iuf":
        assert not graph.constants
        assert ops(graph.finish()) == ["Constant"]
    else:
        assert not graph.nodes
        assert graph.constants["c"].dtype == wanted.dtype
        np.testing.assert_array_equal(graph.constants["c"], wanted, strict=True)


def test_a_shared_weight_is_folded_once_for_each():
    model = model_of(
        [
            node("Conv", "x w", "one"),
            node("Conv", "x w", "two"),
            node("Mul", "one factor", "scaled"),
            node("Add", "scaled two", "y"),
        ],
        {"w": W, "factor": [2.0]},
        {"x": [1, 4, 8, 8]},
        ["y"],
    )
    folded = om.fold(model)
    assert ops(folded).count("Mul") == 0
    np.testing.assert_allclose(
        outputs_of(model, batches(1, 1)[0])[0], outputs_of(folded, batches(1, 1)[0])[0], atol=1e-4
    )


@pytest.mark.parametrize(
    ("constant", "folds"),
    [(np.ones((1, 6, 1, 1)), True), (np.ones((6, 1, 1)), True), ([1.0], True), (np.ones(6), False)],
)
def test_only_what_is_one_number_a_channel_is_folded(constant, folds):
    model = model_of(
        [node("Conv", "x w", "conv"), node("Add", "conv c", "y")],
        {"w": W, "c": constant},
        {"x": [1, 4, 8, 8]},
        ["y"],
    )
    assert ops(om.fold(model)) == (["Conv"] if folds else ["Conv", "Add"])


LINEAR = {
    "Conv": ("x w b", (6, 4, 3, 3), {"pads": [1, 1, 1, 1]}, ["n", 4, 8, 6]),
    "Conv in 1-D": ("x w", (6, 4, 3), {"pads": [1, 1]}, ["n", 4, 6]),
    "Gemm": ("x w b", (4, 6), {}, ["n", 4]),
    "Gemm transposed": ("x w", (6, 4), {"transB": 1}, ["n", 4]),
    "Gemm doubled": ("x w b", (4, 6), {"alpha": 2.0}, ["n", 4]),
    "MatMul": ("x w", (4, 6), {}, ["n", 4]),
}


@pytest.mark.parametrize("kind", LINEAR)
@pytest.mark.parametrize("after", ["Add", "Mul", "Sub"])
def test_what_folds_is_one_number_for_each_channel(kind, after):
    """The oracle: an array that broadcasts to the output, and varies along its channels at most."""
    rng = np.random.default_rng(5)
    inputs, shape, stated, data = LINEAR[kind]
    sizes = [2, 6, *data[2:]]
    for constant in ((), (1,), (6,), (6, 1), (1, 6), (6, 1, 1), (1, 6, 1), (1, 6, 1, 1), (8, 6), (1, 1, 1)):
        other = np.asarray(rng.normal(2, 1, constant))
        try:
            spread = np.broadcast_to(other, sizes)
        except ValueError:  # this output has other axes
            continue
        model = model_of(
            [node(kind.split()[0], inputs, "h", **stated), node(after, "c h", "y")],
            {"w": rng.normal(size=shape), "b": rng.normal(size=6), "c": other},
            {"x": data},
            ["y"],
        )
        one_each = len({tuple(np.moveaxis(spread, 1, -1)[place]) for place in np.ndindex(2, *sizes[2:])}) == 1
        folds = one_each and after != "Sub" and kind not in ("MatMul", "Gemm doubled")
        assert len(om.fold(model).graph.node) == (1 if folds else 2), constant


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("biases", ["b b", "b c", "b"])
def test_layers_that_share_a_weight_or_a_bias_fold_apart(norm, biases):
    first, second = [*biases.split(), ""][:2]
    nodes = [node("Conv", f"x w {first}", "one"), node("Conv", f"x w {second}", "two")]
    if norm:
        nodes.append(node("BatchNormalization", "two gamma beta mean var", "three", epsilon=0.5))
    nodes.append(node("Mul", "one factor", "four"))
    model = model_of(
        [*nodes, node("Sum", "four three" if norm else "four two", "y")],
        {"w": W, "b": RNG.normal(size=6), "c": RNG.normal(size=6), **NORM, "factor": 3.0},
        {"x": [1, 4, 8, 8]},
        ["y"],
    )
    assert ops(om.fold(model, check=batches(1, 1))) == ["Conv", "Conv", "Sum"]


def test_what_constants_give_is_computed_beforehand(monkeypatch):
    """Not what is drawn at random, decoded from codes, very large, or an output of the model."""
    model = model_of(
        [
            node("Add", "two two", "four"),
            node("Mul", "four x", "a"),
            node("RandomNormalLike", "two", "noise"),
            node("Mul", "noise zero", "nothing"),
            node("QuantizeLinear", "two one", "codes"),
            node("DequantizeLinear", "codes one", "back"),
            node("Expand", "two shape", "large"),
            node("ReduceMax", "large", "most", keepdims=0),
            node("Sum", "a nothing back most", "y"),
            node("Neg", "two", "z"),
        ],
        {"two": [2.0], "one": 1.0, "zero": 0.0},
        {"x": ["n", 3]},
        ["y", "z"],
        integers={"shape": [10, 11]},
    )
    monkeypatch.setattr("quantnotes.onnx_model.graph._LARGEST_CONSTANT", 100)
    left = ops(om.fold(model))
    assert {"Add"} == set(ops(model)) - set(left)


def test_constants_of_other_domains_and_operators_stay(monkeypatch):
    """What is not standard may compute anything; what the reference does not know stays as it is."""
    nodes = [node("Add", "two two", "four"), node("Mul", "four x", "y")]
    model = model_of(nodes, {"two": 2.0}, {"x": ["n", 3]}, ["y"])
    model.graph.node[0].domain = "elsewhere"
    assert [n.op_type for n in folded_graph(model).nodes] == ["Add", "Mul"]
    model.graph.node[0].CopyFrom(
        helper.make_node("Constant", [], ["four"], value_float=4.0, domain="elsewhere")
    )
    assert [n.op_type for n in folded_graph(model).nodes] == ["Constant", "Mul"]
    model.graph.node[0].domain = "ai.onnx"
    assert [n.op_type for n in folded_graph(model).nodes] == ["Mul"]
    model.graph.node[0].CopyFrom(node("Add", "two two", "four"))
    model.graph.node[0].op_type = "Unheard"
    assert [n.op_type for n in folded_graph(model).nodes] == ["Unheard", "Mul"]


def test_names_that_are_missing_or_come_twice():
    """Every node gets one of its own, and what is inserted takes none that is there."""
    nodes = [
        node("MatMul", "x w", "h"),
        node("Relu", "h", "r"),
        node("MatMul", "r w", "x_codes"),
        node("Relu", "x_codes", "w_scale"),
        node("MatMul", "w_scale w", "y"),
    ]
    model = model_of(nodes, {"w": RNG.normal(size=(3, 3)), "x_scale": 1.0}, {"x": ["n", 3]}, ["y"])
    for n, name in zip(model.graph.node, ["same", "same", "", "", "y"], strict=True):
        n.name = name
    graph = folded_graph(model)
    names = [n.name for n in graph.nodes]
    assert len(set(names)) == len(names) == 5
    assert names[0] == "same"
    assert all(names)
    data = [{"x": RNG.normal(size=(20, 3)).astype(np.float32)}]
    made = om.quantize(model, om.observe(model, data))
    onnx.checker.check_model(made)
    assert om.report(model, made, data).sqnr_db > 20
    taken = {"x", "h", "r", "w", "same", "y"}
    assert not taken & {graph.unused(name) for name in taken}
    assert graph.unused("free") == "free"


def test_weights_that_are_listed_as_inputs():
    """As old files have them, and converters still write them."""
    model, data = small_network(), batches(1)
    for tensor in model.graph.initializer:
        model.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        )
    folded = om.fold(model)
    assert [i.name for i in folded.graph.input] == ["x"]
    assert ops(folded) == ops(om.fold(small_network()))
    assert om.observe(model, data) == om.observe(small_network(), data)


def test_the_file_format_follows_the_opset():
    """What is left of tensors that are gone goes too: their shapes, and constants that nothing reads."""
    model = small_network(11)
    model.ir_version = 4
    folded = om.fold(model)
    assert (folded.opset_import[0].version, folded.ir_version) == (13, 7)
    read = {name for n in folded.graph.node for name in n.input}
    assert {t.name for t in folded.graph.initializer} <= read
    assert {v.name for v in folded.graph.value_info} <= {n.output[0] for n in folded.graph.node}
    observation = om.observe(model, batches(1))
    for choice, version, file in [({}, 13, 7), ({"activations": INT16}, 21, 10), ({"weights": INT4}, 21, 10)]:
        made = om.quantize(model, observation, method="minmax", weight_method="minmax", **choice)
        assert (made.opset_import[0].version, made.ir_version) == (version, file)
        assert made.producer_name == "quantnotes"
    del model.opset_import[:]
    with pytest.raises(ValueError, match="no standard operators"):
        om.fold(model)


def test_not_a_number_on_both_sides_is_equal():
    model = model_of([node("Conv", "x w", "h"), node("Log", "h", "y")], {"w": W}, {"x": [1, 4, 8, 8]}, ["y"])
    assert np.isnan(outputs_of(model, batches(1, 1)[0])[0]).any()
    assert ops(om.fold(model)) == ["Conv", "Log"]


@pytest.mark.parametrize(("longest", "fits"), [(31, True), (32, False)])
def test_random_inputs_are_32_long_where_the_model_says_nothing(longest, fits):
    model = model_of(
        [node("Pad", "x pads", "wide", mode="reflect")],
        {},
        {"x": ["n", "length"]},
        ["wide"],
        integers={"pads": [0, 0, 0, longest]},
    )
    if fits:
        assert om.fold(model)
    else:
        with pytest.raises(ValueError, match="were random"):
            om.fold(model)


@pytest.mark.parametrize("end", ["conv", "twice"])
def test_what_is_read_elsewhere_is_not_folded(end):
    nodes = [node("Conv", "x w", "conv"), node("BatchNormalization", "conv gamma beta mean var", "y")]
    if end == "twice":
        nodes.append(node("Sigmoid", "conv", "z"))
    outputs = ["y", "conv"] if end == "conv" else ["y", "z"]
    model = model_of(nodes, {"w": W, **NORM}, {"x": [1, 4, 8, 8]}, outputs)
    assert "BatchNormalization" in ops(om.fold(model))


def test_a_tensor_read_in_a_subgraph_is_left_alone():
    branch = helper.make_graph(
        [helper.make_node("Identity", ["conv"], ["inner"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
    )
    nodes = [
        node("Conv", "x w", "conv"),
        node("BatchNormalization", "conv gamma beta mean var", "y"),
        helper.make_node("ReduceMax", ["x"], ["top"], keepdims=0),
        helper.make_node("Greater", ["top", "zero"], ["positive"]),
        helper.make_node("If", ["positive"], ["z"], then_branch=branch, else_branch=branch),
    ]
    model = model_of(nodes, {"w": W, **NORM, "zero": 0.0}, {"x": [1, 4, 8, 8]}, ["y", "z"])
    folded = om.fold(model)
    assert "BatchNormalization" in ops(folded)
    int8 = om.quantize(model, om.observe(model, batches(2, 1)))
    assert len(outputs_of(int8, batches(1, 1)[0])) == 2


def test_a_folded_model_that_differs_is_refused(monkeypatch):
    from quantnotes.onnx_model import graph

    right = graph._scale_layer

    def forgets_the_mean(g, layer, axis, scale, shift):
        right(g, layer, axis, scale, shift * 0)

    monkeypatch.setattr(graph, "_scale_layer", forgets_the_mean)
    with pytest.raises(ValueError, match="changes the output"):
        om.fold(small_network())


def test_small_probabilities_may_round_otherwise():
    """A sigmoid far below 0 rounds to steps of 6e-8, so that another order of sums may change it by one."""
    model = model_of(
        [
            node("Conv", "x w b", "conv"),
            node("BatchNormalization", "conv gamma beta mean var", "norm"),
            node("ReduceMean", "norm", "sum", axes=[1]),
            node("Sub", "sum far", "low"),
            node("Sigmoid", "low", "y"),
        ],
        {"w": W, "b": RNG.normal(size=6), **NORM, "far": 20.0},
        {"x": ["n", 4, 8, 8]},
        ["y"],
    )
    data = batches(2)
    folded = om.fold(model, check=data)
    (a,), (b,) = outputs_of(model, data[0]), outputs_of(folded, data[0])
    assert np.abs(a - b).max() > 1e-3 * max(np.abs(a).max(), 1e-6)


def test_inputs_that_random_ones_cannot_stand_for():
    model = model_of(
        [node("Pad", "x pads", "wide", mode="reflect"), node("MatMul", "wide w", "y")],
        {"w": np.eye(90)},
        {"x": ["n", "length"]},
        ["y"],
        integers={"pads": [0, 0, 0, 40]},
    )
    with pytest.raises(ValueError, match="these inputs were random, pass some of its own as check"):
        om.fold(model)
    assert om.fold(model, check=[{"x": np.ones((1, 50), np.float32)}])


def test_the_real_model_folds_to_convolutions_alone():
    folded = om.fold(samples.path("text_direction.onnx"))
    assert ops(folded).count("Conv") == 53
    assert not {"BatchNormalization", "Constant"} & set(ops(folded))
    graph = Graph.of(folded)
    assert all(len(layer.input) == 3 for layer in graph.layers() if layer.op_type == "Conv")


# --- observing ----------------------------------------------------------------------------------------------


def test_histograms_are_those_of_the_tensors():
    model, data = small_network(), batches()
    observation = om.observe(model, data)
    assert observation.batches == 4
    assert set(observation.histograms) == {"x", "relu", "shifted", "flat", "scores"}
    folded = om.fold(model)
    for name in ("relu", "shifted", "scores"):
        found = [outputs_of_tensor(folded, batch, name) for batch in data]
        wanted = Histogram()
        for x in found:
            wanted.update(x)
        got = observation.histograms[name]
        assert got.n == wanted.n
        np.testing.assert_allclose([got.min, got.max], [wanted.min, wanted.max], atol=1e-5)
    np.testing.assert_allclose(
        observation.mean("x"), np.mean([b["x"] for b in data], axis=(0, 1, 3, 4)), atol=1e-6
    )
    flat = np.concatenate([outputs_of_tensor(folded, b, "flat") for b in data])
    np.testing.assert_allclose(observation.mean("flat"), flat.mean(axis=0), atol=1e-5)
    assert observation.mean("scores") is None


def outputs_of_tensor(model, batch, name):
    return outputs_of(with_outputs(model, [name]), batch, [name])[0]


def test_merging_saving_loading(tmp_path):
    model, data = small_network(), batches()
    whole = om.observe(model, data)
    parts = om.observe(model, data[:1]).merge(om.observe(model, data[1:]))
    assert parts.batches == whole.batches
    assert parts.histograms == whole.histograms
    np.testing.assert_allclose(parts.mean("x"), whole.mean("x"))
    whole.save(tmp_path / "seen.npz")
    assert om.Observation.load(tmp_path / "seen.npz") == whole
    assert om.Observation.load(tmp_path / "seen.npz") != om.observe(model, data[:1])
    (tmp_path / "broken.npz").write_bytes(b"PK")
    np.savez(tmp_path / "other.npz", x=1)
    for name in ("broken.npz", "other.npz", "missing.npz"):
        with pytest.raises(ValueError, match=name):
            om.Observation.load(tmp_path / name)


def test_observations_are_equal_if_everything_in_them_is():
    model, data = small_network(), batches(2)

    def made():
        return om.observe(model, data)

    assert made() == made()
    assert made() != "an observation"
    more, counted, averaged, known = (made() for _ in range(4))
    more.batches += 1
    counted._count("relu", np.ones(1))
    averaged._sums["x", 1][0] += 1
    del known._sums["x", 1]
    for other in (more, counted, averaged, known):
        assert other != made()
        assert made() != other


def test_ranges_follow_what_is_observed_later():
    """They are remembered, and forgotten when anything is added."""
    model, some = small_network(), list(batches())
    first, second = om.observe(model, some[:1]), om.observe(model, [{"x": 3 * some[1]["x"]}])
    alone = om.ranges(first, "mse")
    assert om.ranges(first, "mse") == alone
    assert om.ranges(first, "percentile", percentile=90) != om.ranges(first, "percentile", percentile=99)
    assert om.ranges(first.merge(second), "mse") == om.ranges(
        om.observe(model, [some[0], {"x": 3 * some[1]["x"]}]), "mse"
    )
    assert om.ranges(first, "mse") != alone


def test_merging_is_adding_up():
    """With one that has seen nothing as well; of another model nothing is taken in."""
    model, data = small_network(), batches(3)
    seen = om.observe(model, data)
    assert om.Observation().merge(seen) == seen == om.observe(model, data).merge(om.Observation())
    third = seen.mean("x").copy()
    first = om.Observation().merge(om.observe(model, data[:1]))
    merged = first.merge(om.observe(model, data[1:]))
    np.testing.assert_allclose(merged.mean("x"), third, rtol=1e-12)
    np.testing.assert_array_equal(seen.mean("x"), third)
    assert str(seen) == "Observation(5 tensors, 3 batches)"
    other = model_of([node("MatMul", "x w", "y")], {"w": np.eye(3)}, {"x": ["n", 3]}, ["y"])
    with pytest.raises(ValueError, match="different models"):
        seen.merge(om.observe(other, [{"x": np.ones((2, 3), np.float32)}]))


@pytest.mark.parametrize("together", [1, 300, 10_000])
def test_how_many_values_are_counted_at_once_changes_nothing(together, monkeypatch):
    """Tensors of 256, 384, 6 and 5 values a row, and so below the limit, above it, and over it in the end."""
    model, data = (
        small_network(),
        [{"x": x} for x in np.concatenate([b["x"] for b in batches(2, 3)])[:, None]],
    )
    wanted = om.observe(model, data)
    monkeypatch.setattr("quantnotes.onnx_model.observation._TOGETHER", together)
    sizes, count = [], om.Observation._count
    monkeypatch.setattr(
        om.Observation, "_count", lambda self, name, x: (sizes.append(x.size), count(self, name, x))
    )
    found = om.observe(model, iter(data))
    assert found == wanted
    assert max(sizes) < together + 6 * 8 * 8  # what waits and one more: memory stays bounded
    assert [found.histograms[name].n for name in ("x", "flat", "scores")] == [6 * 256, 6 * 6, 6 * 5]


CODED_OUTPUTS = {
    "Relu h -> y": "y",
    "Clip h zero six -> y": "y",
    "Clip h zero -> y": "y",
    "Clip h one six -> y": "h",
    "Clip h x -> y": "h",
    "Clip h -> y": "h",
    "Sigmoid h -> y": "h",
    "Relu h -> y, Sigmoid h -> z": "h",
}


@pytest.mark.parametrize("kind", CODED_OUTPUTS)
@pytest.mark.parametrize("is_output", [False, True])
def test_codes_stand_behind_a_relu_that_alone_reads_the_layer(kind, is_output):
    """Where the clip of the codes can do what it does; a bound must be the constant 0."""
    ends = [line.split(" -> ") for line in kind.split(", ")]
    bounded = [node(*words.split(" ", 1), out) for words, out in ends]
    model = model_of(
        [node("MatMul", "first w", "h"), *bounded],
        {"w": RNG.normal(size=(3, 2)), "zero": 0.0, "one": 1.0, "six": 6.0},
        {"first": ["n", 3], "x": []},
        [out for _, out in ends] + (["h"] if is_output else []),
    )
    data = [{"first": RNG.normal(size=(8, 3)).astype(np.float32), "x": np.float32(-0.5)}]
    observed = om.observe(model, data)
    assert list(observed.histograms) == ["first", "h" if is_output else CODED_OUTPUTS[kind]]


def test_ranges_need_no_second_pass():
    observation = om.observe(small_network(), batches())
    for method in ("minmax", "percentile", "mse", "entropy", "histogram"):
        found = om.ranges(observation, method)
        for name, bounds in found.items():
            assert bounds == choose_range(method, observation.histograms[name], UINT8, "asymmetric")
    assert om.ranges(observation) == om.ranges(observation, "mse", UINT8, "asymmetric")
    data = om.to_onnxruntime(observation, "minmax")
    for name, histogram in observation.histograms.items():
        ends = float(data[name].lowest), float(data[name].highest)
        assert ends == pytest.approx((histogram.min, histogram.max))


# --- writing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stated", [{"transB": 1}, {"transB": 0}, {}], ids=str)
@pytest.mark.parametrize("outputs", [5, 7])
def test_a_dense_layer_is_what_the_library_computes(outputs, stated):
    """One Gemm: input, weight, bias and output in codes, bit for bit as fake_quantize has it."""
    w, b = RNG.normal(size=(outputs, 7)).astype(np.float32), RNG.normal(size=outputs).astype(np.float32)
    model = model_of(
        [node("Gemm", "x w b", "h", **stated), node("Relu", "h", "y"), node("MatMul", "y v", "z")],
        {"w": w if stated.get("transB") else w.T, "b": b, "v": np.eye(outputs)},
        {"x": ["n", 7]},
        ["z"],
    )
    data = [{"x": RNG.normal(size=(50, 7)).astype(np.float32)} for _ in range(3)]
    observation = om.observe(model, data)
    int8 = om.quantize(model, observation, method="minmax")
    x = make_params(om.ranges(observation, "minmax")["x"], UINT8)
    y = make_params(om.ranges(observation, "minmax")["y"], UINT8)
    wp = make_params(choose_range("minmax", w, INT8, "symmetric", axis=0), INT8, "symmetric", axis=0)
    unit = x.scale * wp.scale
    sums = fake_quantize(data[0]["x"], x, dtype=np.float64) @ fake_quantize(w, wp, dtype=np.float64).T
    sums += np.rint(b / unit) * unit
    wanted = fake_quantize(np.maximum(sums, 0), y)
    got = outputs_of_tensor(int8, data[0], "y_decoded")
    assert np.mean(np.abs(got - wanted) > 1e-5) < 0.01  # a tie of float32 sums may go the other way
    np.testing.assert_allclose(got, wanted, atol=1.01 * y.scale)


def fused(model):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return ops(onnx.load(options.optimized_model_filepath))


def dense(nodes, shape):
    """The nodes on (rows, 7), with weights and a bias."""
    rng = np.random.default_rng(0)
    constants = {
        name: rng.normal(size=size) for name, size in (("w", (7, 5)), ("v", (5, 5)), ("b", 5), ("c", 5))
    }
    model = model_of(nodes, constants, {"x": shape}, ["y"])
    return model, [{"x": rng.normal(size=(50, 7)).astype(np.float32)}]


@pytest.mark.parametrize("grid", [UINT8, INT8], ids=str)
@pytest.mark.parametrize(
    ("nodes", "codes", "kernels"),
    [
        ([node("Gemm", "x w b", "y")], {"x"}, ["QGemm"]),
        ([node("MatMul", "x w", "y")], {"x"}, ["MatMulIntegerToFloat"]),
        ([node("Gemm", "x w b", "h"), node("Softmax", "h", "y")], {"x"}, ["QGemm"]),
        ([node("Gemm", "x w b", "h"), node("Gemm", "h v c", "y")], {"x", "h"}, ["QGemm", "QGemm"]),
        ([node("MatMul", "x w", "h"), node("Add", "h b", "y")], {"x", "h"}, ["QLinearMatMul"]),
    ],
    ids=["Gemm", "MatMul", "softmax behind it", "two", "Add behind it"],
)
def test_the_answer_has_codes_only_where_they_make_integers_of_the_layer(nodes, codes, kernels, grid):
    """A Gemm and a MatMul give floats as well, a MatMul in front of an Add would become a float Gemm."""
    model, data = dense(nodes, ["n", 7])
    made = om.quantize(model, om.observe(model, data), method="minmax", activations=grid)
    assert {n.input[0] for n in made.graph.node if n.op_type == "QuantizeLinear"} == codes
    assert [
        kind
        for kind in fused(made)
        if kind in ("Gemm", "MatMul") or kind.endswith(("ToFloat", "Gemm", "MatMul"))
    ] == kernels


@pytest.mark.parametrize(
    ("last", "choice"),
    [
        ([node("Gemm", "x w", "y")], {}),
        ([node("MatMul", "x w", "h"), node("Add", "h b", "y")], {"float_answers": True}),
    ],
    ids=["Gemm", "MatMul"],
)
def test_no_percentile_clips_an_answer(last, choice):
    """Of 2000 scores it would clip the best two, and often make them equal."""
    rng = np.random.default_rng(0)
    constants = {"w": rng.normal(size=(64, 2000)), "b": rng.normal(size=2000)}
    model = model_of(last, constants, {"x": ["n", 64]}, ["y"])
    data = [{"x": rng.normal(size=(50, 64)).astype(np.float32)}]
    made = om.quantize(model, om.observe(model, data), method="percentile", percentile=99.9, **choice)
    assert om.report(model, made, data).agreement > 0.9


def test_only_answers_are_left_in_float():
    """Of three with an Add behind, one leads to a layer; and what a layer reads has codes in any case."""
    nodes = [
        node("MatMul", "x w", "h"),
        node("Add", "h b", "g"),
        node("Sigmoid", "g", "s"),
        node("MatMul", "s v", "i"),
        node("Add", "i c", "y"),
        node("MatMul", "x u", "j"),
        node("Add", "j c", "z"),
    ]
    rng = np.random.default_rng(0)
    sizes = {"w": (7, 5), "v": (5, 5), "u": (7, 5), "b": 5, "c": 5}
    constants = {name: rng.normal(size=size) for name, size in sizes.items()}
    model = model_of(nodes, constants, {"x": ["n", 7]}, ["y", "z"])
    data = [{"x": rng.normal(size=(50, 7)).astype(np.float32)}]
    observation = om.observe(model, data)
    coded = []
    for value in (False, True):
        made = om.quantize(model, observation, float_answers=value)
        coded.append({n.input[0] for n in made.graph.node if n.op_type == "QuantizeLinear"})
    assert coded == [{"x", "h", "s", "i", "j"}, {"x", "h", "s"}]


RECURRENT = {"LSTM": 4, "GRU": 3, "RNN": 1}


def recurrent(kind, directions, hidden=12):
    """A dense layer in front of a recurrent one, the rows of whose weights are of different sizes."""
    rng = np.random.default_rng(0)
    rows = RECURRENT[kind] * hidden
    spread = np.exp(rng.normal(0, 2, size=(directions, rows, 1)))
    return model_of(
        [
            node("MatMul", "x d", "h"),
            helper.make_node(
                kind,
                ["h", "w", "r", "b"],
                ["y"],
                "steps",
                hidden_size=hidden,
                direction="bidirectional" if directions == 2 else "forward",
            ),
        ],
        {
            "d": rng.normal(size=(6, 5)),
            "w": 0.1 * spread * rng.normal(size=(directions, rows, 5)),
            "r": 0.1 * spread * rng.normal(size=(directions, rows, hidden)),
            "b": rng.normal(size=(directions, 2 * rows)),
        },
        {"x": ["steps", "n", 6]},
        ["y"],
    )


@pytest.mark.parametrize("kind", RECURRENT)
@pytest.mark.parametrize("directions", [1, 2])
def test_weights_of_recurrent_layers_in_codes(kind, directions):
    """A scale for each row of each direction, as fake_quantize has it; a quarter of the bytes."""
    model = recurrent(kind, directions)
    data = [{"x": RNG.normal(size=(9, 4, 6)).astype(np.float32)}]
    observation = om.observe(model, data)
    made = om.quantize(model, observation, recurrent_weights=True)
    onnx.checker.check_model(made)
    (steps,) = [n for n in made.graph.node if n.op_type == kind]
    for name, old in zip(steps.input[1:3], ("w", "r"), strict=True):
        (w,) = [numpy_helper.to_array(t) for t in model.graph.initializer if t.name == old]
        wanted = fake_quantize(w, scaled(w, INT8, axis=(0, 1)))
        np.testing.assert_array_equal(outputs_of_tensor(made, data[0], name), wanted)
    stored = [numpy_helper.to_array(t) for t in made.graph.initializer]
    assert all(x.size < 100 + 2 * RECURRENT[kind] * 12 for x in stored if x.dtype == np.float32)
    assert om.report(model, made, data).sqnr_db > 25
    assert om.session(made) is not None


def test_recurrent_weights_stay_in_float_unless_asked_for():
    model = recurrent("LSTM", 2)
    data = [{"x": RNG.normal(size=(9, 4, 6)).astype(np.float32)}]
    observation = om.observe(model, data)
    plain = om.quantize(model, observation)
    for choice in ({}, {"keep_float": ["steps"], "recurrent_weights": True}):
        assert ops(om.quantize(model, observation, **choice)).count("DequantizeLinear") == 2
    with pytest.raises(ValueError, match="steps, which stays in float anyway"):
        om.quantize(model, observation, keep_float=["steps"])
    activations = om.quantize(model, observation, parts="activations", recurrent_weights=True)
    assert ops(activations).count("DequantizeLinear") == 1
    blamed = [
        om.sensitivity(model, observation, data, recurrent_weights=value).rows for value in (True, False)
    ]
    assert blamed[0] == blamed[1]
    assert "weights in float: LSTM 0.01 MB" in str(om.report(model, plain, data))
    small = om.quantize(model, observation, recurrent_weights=True)
    assert small.ByteSize() < 0.7 * plain.ByteSize()


def lines(start, stop):
    images, widths = (
        samples.load("text_lines_images")[start:stop],
        samples.load("text_lines_widths")[start:stop],
    )
    x = np.where(np.arange(192) < widths[:, None, None], images / 127.5 - 1, 0)
    return x[:, None].repeat(3, axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def real():
    """The classifier, observed on 32 lines."""
    path = samples.path("text_direction.onnx")
    return path, om.observe(path, [{"x": lines(i, i + 16)} for i in (0, 16)])


@pytest.mark.parametrize("grid", [UINT8, INT8], ids=str)
def test_every_convolution_of_the_real_model_becomes_integer(real, grid):
    path, observation = real
    made = fused(om.quantize(path, observation, method="minmax", activations=grid))
    assert made.count("QLinearConv") == 53
    assert made.count("Conv") == 0


def test_the_real_model_still_reads(real):
    path, observation = real
    data = [{"x": lines(64, 96)}]
    found = om.report(path, om.quantize(path, observation), data)
    coarse = om.report(path, om.quantize(path, observation, per_channel=False, method="minmax"), data)
    assert found.agreement > 0.95
    assert found.sqnr_db > max(coarse.sqnr_db, 15)
    (softmax,) = [n for n in om.fold(path).graph.node if n.op_type == "Softmax"]
    assert found.outputs[0].tensor == softmax.input[0]
    assert found.outputs[0].output == "save_infer_model/scale_0.tmp_1"
    assert f"{softmax.input[0]}, before save_infer_model/scale_0.tmp_1" in str(found)
    values = [row.sqnr_db for row in found.tensors]
    assert values == sorted(values)
    assert "conv" in str(found)
    assert "<table>" in found._repr_html_()
    assert len(found.to_dicts()) == len(found.outputs) + len(found.tensors)


def test_layers_that_stay_in_float():
    model, data = small_network(), batches()
    observation = om.observe(model, data)
    everything = [n.name for n in om.fold(model).graph.node if n.op_type in ("Conv", "Gemm")]
    float_again = om.quantize(model, observation, keep_float=everything)
    assert "QuantizeLinear" not in ops(float_again)
    np.testing.assert_allclose(outputs_of(float_again, data[0])[0], outputs_of(model, data[0])[0], atol=1e-5)
    for name in ("conv", "w", "norm"):  # the layer, its weight, its output
        made = om.quantize(model, observation, keep_float=[name])
        first = next(n for n in made.graph.node if n.op_type == "Conv")
        assert first.input[0] == "x"
        assert ops(made).count("DequantizeLinear") > 4
    with pytest.raises(ValueError, match=r"no layer of the model: scored; do you mean scores\?$"):
        om.quantize(model, observation, keep_float=["scored"])
    with pytest.raises(ValueError, match=r"no layer of the model: nobody$"):
        om.quantize(model, observation, keep_float=["nobody"])
    with pytest.raises(TypeError, match="collection"):
        om.quantize(model, observation, keep_float="conv")


def test_weights_and_activations_apart():
    model, data = small_network(), batches()
    observation = om.observe(model, data)
    weights = om.quantize(model, None, parts="weights")
    assert "QuantizeLinear" not in ops(weights)
    assert ops(weights).count("DequantizeLinear") == 3
    activations = om.quantize(model, observation, parts="activations")
    stored = {t.data_type for t in activations.graph.initializer}
    assert TensorProto.INT8 not in stored
    found = [om.report(model, made, data).sqnr_db for made in (weights, activations)]
    both = om.report(model, om.quantize(model, observation), data).sqnr_db
    assert both < min(found)
    with pytest.raises(ValueError, match="None"):
        om.quantize(model, None)


@pytest.mark.parametrize(
    ("choice", "least"),
    [
        ({"activations": INT16}, 30),
        ({"activations": INT8}, 25),
        ({"weights": INT4}, 8),
        ({"weights": INT4, "block_size": 16}, 8),
        ({"weights": INT8_NARROW}, 25),
        ({"weights": IntGrid.of(4, narrow=True)}, 8),
        ({"bias_correction": True}, 25),
        ({"method": "percentile", "percentile": 99.9}, 20),
    ],
    ids=str,
)
def test_other_choices_load_and_run(choice, least):
    model, data = small_network(), batches()
    made = om.quantize(model, om.observe(model, data), **choice)
    onnx.checker.check_model(made)
    assert om.report(model, made, data).sqnr_db > least


LAYERS = {
    "plain": ("Gemm", "x w b", {}),
    "plain, alpha and beta stated": ("Gemm", "x w b", {"alpha": 1.0, "beta": 1.0, "transA": 0}),
    "no bias": ("Gemm", "x w", {}),
    "alpha": ("Gemm", "x w b", {"alpha": 0.5}),
    "beta": ("Gemm", "x w b", {"beta": 0.5}),
    "transposed data": ("Gemm", "x w b", {"transA": 1}),
    "a bias of one number": ("Gemm", "x w one", {}),
    "a bias of two rows": ("Gemm", "x w rows", {}),
    "a bias that is an input": ("Gemm", "x w c", {}),
    "a row": ("MatMul", "x w", {}),
    "a stack": ("MatMul", "x stack", {}),
    "a vector": ("MatMul", "x vector", {}),
    "nothing": ("MatMul", "x nothing", {}),
    "the weight first": ("MatMul", "w x", {}),
    "constants alone": ("MatMul", "w w", {}),
    "two inputs": ("MatMul", "x x", {}),
}
QUANTIZED = {"plain", "plain, alpha and beta stated", "no bias", "a row", "a stack"}


@pytest.mark.parametrize("kind", LAYERS)
def test_which_layers_get_codes(kind):
    """Those whose scales are the weight's and the input's alone; the rest computes what it did."""
    operator, inputs, stated = LAYERS[kind]
    rng = np.random.default_rng(4)
    shapes = {"w": (3, 3), "last": (3, 3), "b": 3, "one": 1, "rows": (3, 3)}
    shapes |= {"stack": (2, 3, 3), "vector": 3, "nothing": (3, 0)}
    model = model_of(
        [node(operator, inputs, "h", **stated), node("MatMul", "x last", "l"), node("Neg", "h", "y")],
        {name: rng.normal(size=shape) for name, shape in shapes.items()},
        {"x": [3, 3], "c": [3]},
        ["y", "l"],
    )
    batch = {"x": rng.normal(size=(3, 3)).astype(np.float32), "c": np.ones(3, np.float32)}
    made = om.quantize(model, om.observe(model, [batch]), method="minmax")
    coded = ["x", "last"] + (inputs.split()[1:] if kind in QUANTIZED else [])
    assert ops(made).count("DequantizeLinear") == len(coded)
    wanted, got = (outputs_of(m, batch)[0] for m in (model, made))
    np.testing.assert_allclose(got, wanted, atol=0.1 if kind in QUANTIZED else 1e-6)


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("kind", ["Conv", "Gemm"])
def test_a_bias_far_above_the_products_still_fits(kind, per_channel):
    """In units of Sx Sw it would leave int32: the scale of the weight is raised instead."""
    weight = np.full((2, 3), 1e-8) * [[1], [1e-4]]
    model = model_of(
        [node(kind, "x w b", "y", **({"transB": 1} if kind == "Gemm" else {}))],
        {"w": weight if kind == "Gemm" else weight[:, :, None], "b": [-100.0, 7.0]},
        {"x": ["n", 3] if kind == "Gemm" else ["n", 3, 4]},
        ["y"],
    )
    batch = {"x": RNG.uniform(-1, 1, size=(5, 3) if kind == "Gemm" else (5, 3, 4)).astype(np.float32)}
    made = om.quantize(model, om.observe(model, [batch]), per_channel=per_channel)
    (bias,) = [n.output[0] for n in made.graph.node if "bias" in n.output[0]]
    np.testing.assert_allclose(outputs_of_tensor(made, batch, bias), [-100, 7], rtol=1e-6)
    np.testing.assert_allclose(outputs_of(made, batch)[0], outputs_of(model, batch)[0], atol=0.5)
    (codes,) = [x for x in map(numpy_helper.to_array, made.graph.initializer) if x.dtype == np.int32]
    assert 2**29 < np.abs(codes).max() < 2**31 - 1


def test_a_tensor_is_coded_once_for_all_its_readers():
    """But for layers that stay in float, and nodes that compute no layer before it."""
    model = model_of(
        [
            node("MatMul", "x w", "h"),
            node("MatMul", "h v", "a"),
            node("MatMul", "h w", "b"),
            node("MatMul", "h u", "c"),
            node("Sum", "a b c h", "y"),
        ],
        {name: RNG.normal(size=(3, 3)) for name in "wvu"},
        {"x": ["n", 3]},
        ["y"],
    )
    data = [{"x": RNG.normal(size=(40, 3)).astype(np.float32)}]
    made = om.quantize(model, om.observe(model, data), keep_float=["c"])
    assert ops(made).count("QuantizeLinear") == 2  # x and h
    readers = {n.name: list(n.input) for n in made.graph.node}
    assert readers["c"] == ["h", "u"]
    assert readers["a"][0] == readers["b"][0] == readers["y"][3] == "h_decoded"
    assert readers["y"][:3] == ["a", "b", "c"]
    assert om.report(model, made, data).sqnr_db > 25


@pytest.mark.parametrize(
    ("grid", "symmetric"), [(UINT8, False), (INT8, False), (UINT16, False), (INT16, True)], ids=str
)
def test_activations_are_symmetric_where_the_engine_wants_it(grid, symmetric):
    model, data = small_network(), batches(1)
    observation = om.observe(model, data)
    made = om.quantize(model, observation, activations=grid)
    constants = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}
    bounds = om.ranges(observation, "mse", grid, "symmetric" if symmetric else "asymmetric")
    del bounds["scores"]  # of a Gemm
    for name, found in bounds.items():
        params = make_params(found, grid, "symmetric" if symmetric else "asymmetric")
        assert constants[f"{name}_scale"] == np.float32(params.scale)
        assert constants[f"{name}_zero_point"] == params.zero_point
    assert (constants["relu_zero_point"] == 0) == (symmetric or grid.qmin == 0)


def test_the_domain_of_the_engine_is_imported_once():
    model = model_of([node("MatMul", "x w", "y")], {"w": np.eye(32)}, {"x": ["n", 32]}, ["y"])
    choice = {"weights": INT4, "block_size": 32, "parts": "weights"}
    for there in (False, True):
        if there:
            model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
        for nbits in (False, True):
            made = om.quantize(model, None, matmul_nbits=nbits, **choice)
            found = [(o.domain, o.version) for o in made.opset_import]
            assert found == [("", 21)] + [("com.microsoft", 1)] * (there or nbits)


@pytest.mark.parametrize("correct", [False, True])
@pytest.mark.parametrize("has_bias", [False, True])
def test_groups_leave_activations_and_convolutions_alone(correct, has_bias):
    """A scale for each output of a Conv, and no codes for activations: an observation only corrects."""
    model = model_of(
        [node("Conv", "x w b" if has_bias else "x w", "h"), node("MatMul", "h v", "y")],
        {"w": W, "b": RNG.normal(size=6), "v": RNG.normal(size=(48, 5))},
        {"x": ["n", 4, 4, 50]},
        ["y"],
    )
    colours = RNG.normal(1, 1, size=(20, 4, 1, 1)).astype(np.float32)
    data = [{"x": np.broadcast_to(colours, (20, 4, 4, 50))}]
    observation = om.observe(model, data)
    choice = {"weights": INT4, "block_size": 16, "bias_correction": correct}
    made = om.quantize(model, observation, **choice)
    fewer = om.quantize(model, observation, matmul_nbits=True, **choice)
    assert not {"QuantizeLinear"} & {*ops(made), *ops(fewer)}
    blocks = [{a.name: a.i for a in n.attribute} for n in made.graph.node if n.op_type == "DequantizeLinear"]
    assert [(block["axis"], block.get("block_size")) for block in blocks] == [(0, None), (0, 16)]
    np.testing.assert_allclose(outputs_of(fewer, data[0])[0], outputs_of(made, data[0])[0], atol=1e-4)
    assert om.report(model, made, data).sqnr_db > 12
    error = (outputs_of(made, data[0])[0] - outputs_of(model, data[0])[0]).mean(axis=(0, 1, 2))
    assert (np.abs(error).max() < 1e-3) == correct


def test_what_the_engine_is_asked_for():
    """Kernels that are exact or fast, threads, and no rounding that the model does not ask for."""
    model = plain_model()
    quiet = om.session(model).get_session_options()
    assert quiet.log_severity_level == 4
    assert quiet.get_session_config_entry("session.qdq_matmulnbits_accuracy_level") == "0"
    assert quiet.get_session_config_entry("session.x64quantprecision") == "1"
    fast = om.session(model, exact=False, threads=1).get_session_options()
    assert fast.get_session_config_entry("session.qdqisint8allowed") == "1"
    assert (quiet.intra_op_num_threads, fast.intra_op_num_threads) == (0, 1)
    levels = [om.session(model, optimize=how).get_session_options() for how in (True, False)]
    assert [str(o.graph_optimization_level).split(".")[-1] for o in levels] == [
        "ORT_ENABLE_ALL",
        "ORT_DISABLE_ALL",
    ]


def test_outputs_are_given_once_and_none_where_none_is_asked_for():
    model, batch = small_network(), batches(1)[0]
    more = with_outputs(model, ["scores", "probabilities"])
    assert [o.name for o in more.graph.output] == ["probabilities", "scores"]
    assert [o.name for o in model.graph.output] == ["probabilities"]
    runner = om.session(more)
    assert run(runner, batch, []) == []
    assert len(run(runner, batch)) == 2


FLOAT8 = [
    (formats.E4M3, TensorProto.FLOAT8E4M3FN),
    (formats.E5M2, TensorProto.FLOAT8E5M2),
    (formats.E4M3FNUZ, TensorProto.FLOAT8E4M3FNUZ),
    (formats.E5M2FNUZ, TensorProto.FLOAT8E5M2FNUZ),
]


def scaled(x, grid, method="minmax", **where):
    return make_params(choose_range(method, x, grid, "symmetric", **where), grid, "symmetric", **where)


@pytest.mark.parametrize(("grid", "stored"), FLOAT8, ids=str)
@pytest.mark.parametrize("per_channel", [True, False])
def test_float8_is_what_the_library_computes(grid, stored, per_channel):
    """Input, weight and output in float8, bit for bit as fake_quantize has them; the bias stays in float."""
    w, b = RNG.normal(size=(5, 7)).astype(np.float32), RNG.normal(size=5).astype(np.float32)
    model = model_of(
        [node("Gemm", "x w b", "h", transB=1), node("Relu", "h", "y"), node("MatMul", "y v", "z")],
        {"w": w, "b": b, "v": np.eye(5)},
        {"x": ["n", 7]},
        ["z"],
    )
    data = [{"x": RNG.normal(size=(50, 7)).astype(np.float32)} for _ in range(3)]
    choice = {"weights": grid, "activations": grid, "per_channel": per_channel}
    made = om.quantize(model, om.observe(model, data), method="minmax", **choice)
    onnx.checker.check_model(made)
    assert {t.data_type for t in made.graph.initializer} == {TensorProto.FLOAT, stored}
    x = data[0]["x"] * 1.5  # some of it is clipped
    found = outputs_of_tensor(made, {"x": x}, "x_decoded")
    bounds = om.ranges(om.observe(model, data), "minmax", grid, "symmetric")
    inputs = fake_quantize(x, make_params(bounds["x"], grid, "symmetric"))
    np.testing.assert_array_equal(found, inputs)
    weights = fake_quantize(w, scaled(w, grid, axis=0) if per_channel else scaled(w, grid))
    (name,) = [n.input[1] for n in made.graph.node if n.op_type == "Gemm"]
    np.testing.assert_array_equal(outputs_of_tensor(made, {"x": x}, name), weights)
    sums = outputs_of_tensor(made, {"x": x}, "h")
    np.testing.assert_allclose(sums, inputs @ weights.T + b, rtol=1e-4, atol=1e-5)
    outputs = fake_quantize(np.maximum(sums, 0), make_params(bounds["y"], grid, "symmetric"))
    np.testing.assert_array_equal(outputs_of_tensor(made, {"x": x}, "y_decoded"), outputs)


@pytest.mark.parametrize(
    "choice", [{}, {"weights": INT8}, {"activations": UINT8}, {"activations": INT16}], ids=str
)
@pytest.mark.parametrize("bias_correction", [False, True])
def test_float8_beside_integers_and_optimized(choice, bias_correction):
    """The engine's optimizer changes nothing, and a bias is in integers only if both its factors are."""
    model, data = small_network(), batches()
    choice = {"weights": formats.E4M3, "activations": formats.E4M3, **choice}
    made = om.quantize(
        model, om.observe(model, data), method="minmax", bias_correction=bias_correction, **choice
    )
    onnx.checker.check_model(made)
    assert TensorProto.INT32 not in {t.data_type for t in made.graph.initializer}
    plain, fast = (run(om.session(made, optimize=how), data[0])[0] for how in (False, True))
    np.testing.assert_allclose(fast, plain, atol=1e-5)
    assert om.report(model, made, data).sqnr_db > 20


@pytest.mark.parametrize("bounds", ["", "low", "low high", " high", None])
def test_bounds_in_front_of_float8_survive_the_optimizer(bounds):
    """ONNX Runtime drops a Relu there, and does not load a Clip."""
    bound = node("Relu", "h", "y") if bounds is None else node("Clip", f"h {bounds}", "y")
    if bounds == " high":
        bound = helper.make_node("Clip", ["h", "", "high"], ["y"], "y")
    rng = np.random.default_rng(1)
    constants = {"w": rng.normal(size=(7, 5)), "low": -0.5, "high": 1.3}
    last = node("MatMul", "y v", "z")
    constants["v"] = rng.normal(size=(5, 3))
    model = model_of([node("MatMul", "x w", "h"), bound, last], constants, {"x": ["n", 7]}, ["z"])
    data = {"x": rng.normal(size=(50, 7)).astype(np.float32)}
    choice = {"weights": formats.E4M3, "activations": formats.E4M3, "method": "minmax"}
    made = om.quantize(model, om.observe(model, [data]), **choice)
    onnx.checker.check_model(made)
    plain, fast = (run(om.session(made, optimize=how), data)[0] for how in (False, True))
    np.testing.assert_allclose(fast, plain, atol=1e-5)
    exact = outputs_of(model, data)[0]
    assert np.sum((fast - exact) ** 2) < 0.01 * np.sum(exact**2)


def test_every_convolution_in_float8(real):
    path, observation = real
    choice = {"weights": formats.E4M3, "activations": formats.E4M3}
    made = om.quantize(path, observation, method="minmax", **choice)
    data = {"x": lines(64, 96)}
    plain, fast = (run(om.session(made, optimize=how), data)[0] for how in (False, True))
    np.testing.assert_allclose(fast, plain, atol=0.02)  # a value near a tie may get the next code
    assert om.report(path, made, [data]).agreement > 0.9


def test_weights_alone_in_float8():
    model = small_network()
    made = om.quantize(model, None, parts="weights", weights=formats.E5M2)
    assert TensorProto.FLOAT8E5M2 in {t.data_type for t in made.graph.initializer}
    assert om.report(model, made, batches()).sqnr_db > 15


def test_four_bits_in_groups_are_dequantize_and_multiply():
    w = RNG.normal(size=(64, 24)).astype(np.float32)
    model = model_of([node("MatMul", "x w", "y")], {"w": w}, {"x": ["n", 64]}, ["y"])
    made = om.quantize(model, None, weights=INT4, block_size=16, parts="weights")
    params = make_params(
        choose_range("mse", w, INT4, "symmetric", axis=0, block_size=16),
        INT4,
        "symmetric",
        axis=0,
        block_size=16,
    )
    x = RNG.normal(size=(9, 64)).astype(np.float32)
    np.testing.assert_allclose(
        outputs_of(made, {"x": x})[0], x @ fake_quantize(w, params), rtol=1e-5, atol=1e-5
    )
    (block,) = [a.i for n in made.graph.node for a in n.attribute if a.name == "block_size"]
    assert block == 16
    assert om.session(made) is not None


@pytest.mark.parametrize("kind", ["MatMul", "Gemm", "Gemm transposed"])
@pytest.mark.parametrize("inputs", [64, 41])
@pytest.mark.parametrize("method", ["minmax", "mse"])
def test_matmul_nbits_is_dequantize_and_multiply(kind, inputs, method):
    w, b = RNG.normal(size=(inputs, 24)).astype(np.float32), RNG.normal(size=24).astype(np.float32)
    if kind == "MatMul":
        layer, stored = node("MatMul", "x w", "y"), w
        b = np.zeros(24, np.float32)
    else:
        turned = kind == "Gemm transposed"
        layer, stored = node("Gemm", "x w b", "y", transB=int(turned)), w.T if turned else w
    model = model_of([layer], {"w": stored, "b": b}, {"x": ["n", inputs]}, ["y"])
    choice = {"weights": INT4, "block_size": 16, "parts": "weights", "weight_method": method}
    made = om.quantize(model, None, matmul_nbits=True, **choice)
    assert "MatMulNBits" in ops(made)
    where = {"axis": 0, "block_size": 16}
    params = make_params(choose_range(method, w, INT4, "symmetric", **where), INT4, "symmetric", **where)
    x = RNG.normal(size=(9, inputs)).astype(np.float32)
    wanted = x @ fake_quantize(w, params) + b
    for found in (made, om.quantize(model, None, **choice)):
        for optimize in (False, True):
            (got,) = run(om.session(found, optimize=optimize), {"x": x})
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def test_bias_correction_takes_the_mean_error_away():
    model = small_network()
    data = [{"x": batch["x"] + np.float32(2)} for batch in batches(8)]
    observation = om.observe(model, data)
    x = np.concatenate([b["x"] for b in data])
    errors = []
    for correct in (False, True):
        made = om.quantize(
            model,
            observation,
            weights=INT4,
            parts="weights",
            bias_correction=correct,
            keep_float=["deep", "scores"],
        )
        wanted = outputs_of_tensor(om.fold(model), {"x": x}, "norm")
        errors.append((outputs_of_tensor(made, {"x": x}, "norm") - wanted).mean(axis=(0, 2, 3)))
    assert np.abs(errors[1]).max() < 0.3 * np.abs(errors[0]).max()  # not 0: the border sees padding


@pytest.mark.parametrize("kind", ["Conv 1", "Conv 2", "Conv 4", "Gemm", "Gemm transposed"])
@pytest.mark.parametrize("has_bias", [True, False])
def test_the_correction_is_exact_where_every_place_sees_the_mean(kind, has_bias):
    """Images of one colour each, without padding: the mean output is that of the float model."""
    rng = np.random.default_rng(3)
    x = rng.normal(1, 1, size=(50, 4)) * [1, 5, 0.2, 3]
    if kind.startswith("Conv"):
        group = int(kind[5:])
        x = np.broadcast_to(x[:, :, None, None], (50, 4, 5, 6))
        layer, shape = "Conv", (8, 4 // group, 3, 2)
        stated = {"group": group} if group > 1 else {}
    else:
        layer, shape = "Gemm", (8, 4) if "transposed" in kind else (4, 8)
        stated = {"transB": 1} if "transposed" in kind else {}
    constants = {"w": rng.normal(size=shape)} | ({"b": rng.normal(size=8)} if has_bias else {})
    model = model_of(
        [node(layer, " ".join(["x", *constants]), "y", **stated)],
        constants,
        {"x": ["n", *x.shape[1:]]},
        ["y"],
    )
    batch = {"x": x.astype(np.float32)}
    choice = {"weights": INT4, "parts": "weights", "bias_correction": True}
    made = om.quantize(model, om.observe(model, [batch]), **choice)
    error = np.moveaxis(outputs_of(made, batch)[0] - outputs_of(model, batch)[0], 1, 0).reshape(8, -1)
    np.testing.assert_allclose(error.mean(axis=1), 0, atol=1e-4)
    assert np.abs(error).max() > 0.1


def test_matmul_gets_its_correction_behind_it():
    w = RNG.normal(size=(6, 5)).astype(np.float32)
    model = model_of([node("MatMul", "x w", "y")], {"w": w}, {"x": ["n", 6]}, ["y"])
    x = (RNG.normal(size=(200, 6)) + 3).astype(np.float32)
    made = om.quantize(
        model, om.observe(model, [{"x": x}]), weights=INT4, parts="weights", bias_correction=True
    )
    onnx.checker.check_model(made)  # nodes come after what they read
    error = outputs_of(made, {"x": x})[0] - x @ w
    np.testing.assert_allclose(error.mean(axis=0), 0, atol=1e-4)


@pytest.mark.parametrize("width", [4, 5])
@pytest.mark.parametrize("kinds", [("Conv", "MatMul"), ("MatMul", "Conv")])
def test_two_layers_may_read_one_tensor_along_two_axes(width, kinds, tmp_path):
    """A Conv's channels are axis 1, a MatMul's the last: each is corrected by the means of its own."""
    weights = {"Conv": RNG.normal(size=(8, 4, 1, 1)), "MatMul": RNG.normal(size=(width, 6))}
    model = model_of(
        [node(kind, f"x w{kind}", f"y{kind}") for kind in kinds],
        {f"w{kind}": weight for kind, weight in weights.items()},
        {"x": ["n", 4, 7, width]},
        ["yConv", "yMatMul"],
    )
    x = RNG.normal(size=(50, 4, 7, width)) + RNG.normal(size=(4, 1, 1)) + 3 * RNG.normal(size=width)
    batch = {"x": x.astype(np.float32)}
    halves = [{"x": part} for part in np.split(batch["x"], 2)]
    seen = om.observe(model, halves[:1]).merge(om.observe(model, halves[1:]))
    seen.save(tmp_path / "seen.npz")
    seen = om.Observation.load(tmp_path / "seen.npz")
    np.testing.assert_allclose(seen.mean("x", 1), x.mean(axis=(0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(seen.mean("x", -1), x.mean(axis=(0, 1, 2)), rtol=1e-5)
    made = om.quantize(model, seen, weights=INT4, parts="weights", bias_correction=True)
    for got, wanted, axes in zip(
        outputs_of(made, batch), outputs_of(model, batch), ((0, 2, 3), (0, 1, 2)), strict=True
    ):
        np.testing.assert_allclose((got - wanted).mean(axis=axes), 0, atol=1e-4)


# --- what the next node cannot see --------------------------------------------------------------------------


def reader(kind, **attributes):
    return helper.make_node(kind, ["y"], ["z"], kind, **attributes)


def test_no_codes_for_what_cannot_be_seen():
    graph = Graph.of(small_network())
    wide = Range(-9.0, 8.0)
    assert seen(wide, [reader("HardSwish")], graph) == (-3.0, 8.0)
    assert seen(Range(-9.0, -5.0), [reader("HardSwish")], graph) == (-3.0, 0.0)
    assert seen(wide, [reader("HardSigmoid")], graph) == pytest.approx((-2.5, 2.5))
    assert seen(wide, [reader("HardSigmoid", alpha=0.5, beta=0.25)], graph) == pytest.approx((-0.5, 1.5))
    assert seen(Range(-9.0, -5.0), [reader("HardSigmoid")], graph) == (-9.0, -5.0)
    assert seen(Range(-1.0, 2.0), [reader("HardSigmoid")], graph) == (-1.0, 2.0)
    assert seen(Range(-1.0, 2.0), [reader("HardSwish")], graph) == (-1.0, 2.0)
    for others in ([reader("Relu"), reader("HardSwish")], [reader("Sigmoid")], []):
        assert seen(wide, others, graph) == wide


WRITTEN_OUT = {
    "times, then divided": ["Add y three -> a", "Clip a zero six -> c", "Mul y c -> m", "Div m six -> z"],
    "divided, then times": ["Add three y -> a", "Clip a zero six -> c", "Div c six -> d", "Mul d y -> z"],
    "multiplied, then times": [
        "Add three y -> a",
        "Clip a zero six -> c",
        "Mul c sixth -> d",
        "Mul y d -> z",
    ],
    "no upper bound": ["Add y three -> a", "Relu a -> c", "Mul y c -> z"],
}
NOT_ONE = {
    "another number": ["Add y six -> a", "Clip a zero six -> c", "Mul y c -> z"],
    "many numbers": ["Add y threes -> a", "Clip a zero six -> c", "Mul y c -> z"],
    "a clip elsewhere": ["Add y three -> a", "Clip a three six -> c", "Mul y c -> z"],
    "no clip": ["Add y three -> a", "Mul y a -> z"],
    "a sum that is read again": ["Add y three -> a", "Clip a zero six -> c", "Mul y c -> m", "Add m a -> z"],
    "two clips": [
        "Add y three -> a",
        "Clip a zero six -> c",
        "Clip a less six -> d",
        "Mul y c -> m",
        "Add m d -> z",
    ],
    "a product with something else": [
        "Add y three -> a",
        "Clip a zero six -> c",
        "Mul y x -> m",
        "Add m c -> z",
    ],
    "a sum that is an output": ["Add y three -> z", "Clip z zero six -> c", "Mul y c -> m"],
}


@pytest.mark.parametrize("kind", WRITTEN_OUT | NOT_ONE)
def test_only_what_is_a_hard_swish_is_taken_for_one(kind):
    """The oracle: whether values below -3 give what -3 gives."""
    nodes = [line.split(" -> ") for line in (WRITTEN_OUT | NOT_ONE)[kind]]
    model = model_of(
        [node("Mul", "x one", "y"), *(node(*words.split(" ", 1), out) for words, out in nodes)],
        {
            "one": 1.0,
            "less": -6.0,
            "zero": 0.0,
            "three": 3.0,
            "six": 6.0,
            "sixth": 1 / 6,
            "threes": [3.0, 3.0, 4.0],
        },
        {"x": ["n", 3]},
        ["z", "m"] if "output" in kind else ["z"],
    )
    graph = Graph.of(model)
    bounds = seen(Range(-9.0, 8.0), graph.consumers()["y"], graph)
    far, near = (outputs_of(model, {"x": np.full((1, 3), x, np.float32)}) for x in (-9, -3))
    hidden = all(np.allclose(a, b) for a, b in zip(far, near, strict=True))
    assert hidden == (kind in WRITTEN_OUT)
    assert bounds == (-3.0 if hidden else -9.0, 8.0)


def test_a_hard_swish_written_out_is_seen_as_one(real):
    path, observation = real
    free = om.quantize(path, observation, method="minmax")
    plain = om.quantize(path, observation, method="minmax", clip_unseen=False)

    def scale(model):
        constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        return float(constants["batch_norm_0.tmp_2_scale"])

    low, high = om.ranges(observation, "minmax")["batch_norm_0.tmp_2"]
    assert low < -3
    assert scale(plain) == pytest.approx((high - low) / 255, rel=1e-6)
    assert scale(free) == pytest.approx((high + 3) / 255, rel=1e-6)


# --- blame --------------------------------------------------------------------------------------------------


def spoiled(layer):
    """The small network with one weight that a scale for the whole of it ruins."""
    model = small_network()
    for tensor in model.graph.initializer:
        if tensor.name == layer:
            x = numpy_helper.to_array(tensor).copy()
            x[0] *= 300
            tensor.CopyFrom(numpy_helper.from_array(x, layer))
    return model


@pytest.mark.parametrize(("weight", "name"), [("dense", "scores"), ("dw", "deep")])
def test_the_layer_to_blame_comes_first(weight, name):
    model, data = spoiled(weight), batches()
    observation = om.observe(model, data)
    options = {"per_channel": False, "method": "minmax"}
    found = om.sensitivity(model, observation, data[:1], **options)
    assert len(found.rows) == 3
    assert found.worst(1) == [name]
    assert found.rows[0].weight == weight
    assert len({len(line) for line in table_of(found)}) == 1  # numbers end in one column
    assert (
        found.rows[0].output_db <= min(found.rows[0].weights_only_db, found.rows[0].activations_only_db) + 1
    )
    assert weight in str(found)
    assert f">{weight}<" in found._repr_html_()
    assert json.loads(json.dumps(found.to_dicts()))[0]["layer"] == name


@pytest.mark.parametrize(
    ("choice", "where"),
    [
        ({"weights": INT4, "block_size": 16}, {"axis": 0, "block_size": 16}),
        ({"weights": INT4}, {"axis": 1}),
        ({"weights": INT4, "per_channel": False}, {}),
        ({"weights": INT4, "weight_method": "minmax"}, {"axis": 1}),
        ({}, {"axis": 1}),
    ],
    ids=str,
)
def test_the_weight_of_a_layer_is_blamed_as_it_is_written(choice, where):
    w = np.random.default_rng(2).standard_t(3, size=(48, 6)).astype(np.float32)
    model = model_of([node("MatMul", "x w", "y")], {"w": w}, {"x": ["n", 48]}, ["y"])
    data = [{"x": np.eye(48, dtype=np.float32)}]  # what comes out is the weight itself
    (row,) = om.sensitivity(model, om.observe(model, data), data, **choice).rows
    grid = choice.get("weights", INT8)
    method = choice.get("weight_method") or ("minmax" if grid is INT8 else "mse")
    error = fake_quantize(w, scaled(w, grid, method, **where), dtype=np.float64) - w
    wanted = 10 * np.log10(np.sum(w.astype(np.float64) ** 2) / np.sum(error**2))
    assert row.weight_db == pytest.approx(wanted)
    assert row.weights_only_db == pytest.approx(wanted, abs=0.01)


def test_as_few_layers_as_agreement_needs():
    model, data = spoiled("dense"), batches()
    observation = om.observe(model, data)
    options = {"per_channel": False, "method": "minmax"}
    all_int8 = om.report(model, om.quantize(model, observation, **options), data).agreement
    kept = om.keep_float_for(model, observation, data, within=1.0, **options)
    made = om.quantize(model, observation, keep_float=kept, **options)
    assert om.report(model, made, data).agreement >= 0.99
    assert (len(kept) > 0) == (all_int8 < 0.99)
    ranked = []
    om.keep_float_for(
        model, observation, data, within=0, progress=lambda names: ranked.extend(names) or names, **options
    )
    assert sorted(ranked) == ["conv", "deep", "scores"]


def test_layers_are_ranked_by_the_outputs_that_count():
    """The worse layer does no harm where only the other one's output counts."""
    rng = np.random.default_rng(0)
    good = rng.normal(size=(7, 5))
    model = model_of(
        [node("MatMul", "x w", "y"), node("MatMul", "x v", "z")],
        {"w": good * [1, 1e-4, 1e-4, 1e-4, 1e-4], "v": good * [1, 1e-3, 1e-3, 1e-3, 1e-3]},
        {"x": ["n", 7]},
        ["y", "z"],
    )
    data = [{"x": rng.normal(size=(200, 7)).astype(np.float32)}]
    observation = om.observe(model, data)
    for counted, ranked in [(["y"], ["y", "z"]), (["z"], ["z", "y"])]:
        options = {"outputs": counted, "per_channel": False}
        found = om.sensitivity(model, observation, data, **options)
        assert found.worst(2) == ranked
        assert found.rows[1].output_db == np.inf
        assert om.keep_float_for(model, observation, data, within=5, **options) == ranked[:1]


@pytest.mark.parametrize("needed", range(1, 10))
def test_as_few_of_many_layers_as_are_enough(needed, monkeypatch):
    """The worst ones, found by halving what is left."""
    rows = [LayerBlame(f"layer {i}", "Conv", "w", *[1.0 * i] * 5, 1.0) for i in range(9)]
    tried = []

    def report(_, kept, *__, **___):
        tried.append(kept)
        return Report((TensorReport("y", 1.0, 1.0, 0.9 + 0.1 * (len(kept) >= needed)),), ())

    monkeypatch.setattr("quantnotes.onnx_model.blame.quantize", lambda *_, keep_float: keep_float)
    monkeypatch.setattr("quantnotes.onnx_model.blame.report", report)
    ranking = om.Sensitivity.of(rows[::-1])
    kept = om.keep_float_for(None, None, None, within=1, ranking=ranking)
    assert kept == [row.layer for row in rows[:needed]]
    assert len(tried) <= 1 + 4


def test_nothing_is_ranked_where_all_in_codes_agree(monkeypatch):
    model, data = spoiled("dense"), batches()
    observation = om.observe(model, data)
    options = {"per_channel": False, "method": "minmax"}
    monkeypatch.setattr("quantnotes.onnx_model.blame.sensitivity", None)
    assert om.keep_float_for(model, observation, data, within=100, **options) == []
    with pytest.raises(ValueError, match="within"):
        om.keep_float_for(model, observation, data, within=101)


def test_a_report_in_print():
    rows = (
        TensorReport("y", 9.0, 0.5, 0.9, "z", 0.25, "first"),
        TensorReport("z", 10.0, 1.0, 0.99, "z", 0.5),
    )
    found = Report(rows, (TensorReport("long name", 112.0, 1 - 1e-6, layer="last"),), "3 MB")
    assert table_of(found) == [
        "tensor       layer  SQNR, dB  1 - cosine  agree, %  a constant, %",
        "y, before z  first       9.0     5.0e-01     90.00          25.00",
        "z                       10.0     0.0e+00     99.00          50.00",
        "long name     last     112.0     1.0e-06",
    ]
    assert str(found).splitlines()[-1] == "3 MB"


@pytest.mark.parametrize(("rows", "wanted"), [(1, 8), (3, 3), (8, 1), (20, 1)])
def test_layers_are_ranked_on_eight_rows(rows, wanted, monkeypatch):
    model, data = spoiled("dense"), batches(10, rows)
    given = []

    def ranking(model, observation, batches, **_):
        given.extend(batches)
        return om.Sensitivity(())

    monkeypatch.setattr("quantnotes.onnx_model.blame.sensitivity", ranking)
    options = {"per_channel": False, "method": "minmax"}
    om.keep_float_for(model, om.observe(model, data), data, within=0, **options)
    assert len(given) == wanted


def test_a_report_names_layers_as_blame_does():
    model, data = small_network(), batches()
    observation = om.observe(model, data)
    found = om.report(model, om.quantize(model, observation), data)
    layers = {row.tensor: row.layer for row in (*found.outputs, *found.tensors)}
    assert layers == {"flat": None, "relu": "conv", "shifted": "deep", "scores": "scores"}
    blamed = om.sensitivity(model, observation, data).rows
    assert {row.layer for row in blamed} == {"conv", "deep", "scores"}
    assert {row.layer: row.weight_bytes for row in blamed}["conv"] == W.nbytes


def test_a_report_says_what_the_file_is():
    """Its size and opset, and what of it are weights in float."""
    model, data = small_network(11), batches()
    made = om.quantize(model, om.observe(model, data), keep_float=["conv"], activations=INT16)
    size, before = made.ByteSize(), model.ByteSize()
    text = om.report(model, made, data).files
    share = round(100 * size / before)
    assert text.startswith(
        f"{size / 1e6:.2f} MB of {before / 1e6:.2f} MB ({share}%), opset 21 instead of 11; "
        "weights in float: Conv"
    )
    same = om.quantize(small_network(13), om.observe(model, data))
    assert "opset 13; " in om.report(small_network(13), same, data).files + "; "


def test_a_report_of_the_same_model_is_perfect():
    model = small_network()
    found = om.report(
        model,
        om.quantize(model, om.observe(model, batches()), keep_float=["conv", "deep", "scores"]),
        batches(),
    )
    assert found.agreement == 1
    assert found.sqnr_db > 90


def test_scores_in_one_output_with_boxes_count_alone_once_they_are_outputs():
    """As in notebook 12: what goes into the last Concat is added to the outputs, by its name alone."""
    rng = np.random.default_rng(0)
    model = model_of(
        [
            node("Conv", "x v", "boxes"),
            node("Conv", "x w", "logits"),
            node("Sigmoid", "logits", "scores"),
            node("Concat", "boxes scores", "y", axis=1),
        ],
        {"v": 100 * rng.normal(size=(4, 6, 1)), "w": rng.normal(size=(3, 6, 1))},
        {"x": ["n", 6, 20]},
        ["y"],
    )
    data = [{"x": rng.normal(size=(4, 6, 20)).astype(np.float32)}]
    concat = next(n for n in model.graph.node if n.op_type == "Concat")
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in concat.input)
    int8 = om.quantize(model, om.observe(model, data))
    (scores,) = om.report(model, int8, data, outputs=["scores"]).outputs
    wanted, got = (om.session(m).run(["scores"], data[0])[0] for m in (model, int8))
    assert scores.agreement == np.mean((wanted > 0.5) == (got > 0.5))
    (both,) = om.report(model, int8, data, outputs=["y"]).outputs
    assert both.sqnr_db != pytest.approx(scores.sqnr_db, abs=0.1)


ANSWERS = {
    "largest along an axis": (
        [node("Softmax", "s", "y", axis=1)],
        {"y": (lambda y: y.argmax(axis=1))},
    ),
    "the largest of a label": (
        [node("Softmax", "s", "p", axis=2), helper.make_node("ArgMax", ["p"], ["y"], axis=2, keepdims=0)],
        {"y": (lambda y: y)},
    ),
    "the largest of all images": (
        [helper.make_node("ArgMax", ["s"], ["y"], keepdims=0)],
        {"y": (lambda y: y)},
    ),
    "each of a map": ([node("Sigmoid", "s", "y")], {"y": (lambda y: y > 0.5)}),
    "each of a mean": (
        [node("Sigmoid", "s", "p"), helper.make_node("ReduceMean", ["p"], ["y"], axes=[2], keepdims=0)],
        {"y": (lambda y: y > 0.5)},
    ),
    "a state beside": (
        [node("Sigmoid", "s", "y"), node("Relu", "s", "state")],
        {"y": (lambda y: y > 0.5), "state": None},
    ),
    "images": ([node("Relu", "s", "y")], {"y": (lambda y: y.argmax(axis=1))}),
    "one score for each place": ([node("ReduceMax", "s", "y", axes=[1])], {"y": (lambda y: y > 0.5)}),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_what_an_output_decides(kind):
    ends, answers = ANSWERS[kind]
    model = model_of(
        [node("Conv", "x w", "s", pads=[1, 1, 1, 1]), *ends], {"w": W}, {"x": ["n", 4, 8, 8]}, list(answers)
    )
    data = batches(2)
    made = om.quantize(model, om.observe(model, data), weights=INT4, method="minmax")
    wanted, got = ([outputs_of(m, batch) for batch in data] for m in (model, made))
    shares = [
        np.mean([np.mean(decide(a[i]) == decide(b[i])) for a, b in zip(wanted, got, strict=True)])
        for i, decide in enumerate(answers.values())
        if decide is not None
    ]
    found = om.report(model, made, data)
    assert found.agreement == pytest.approx(min(shares), abs=0.002)  # softmax rounds
    assert 0.5 < found.agreement < 1
    assert [row.agreement is None for row in found.outputs] == [d is None for d in answers.values()]
    for i, (row, decide) in enumerate(zip(found.outputs, answers.values(), strict=True)):
        if decide is not None:
            decided = np.concatenate([decide(np.asarray(a[i])).ravel() for a in wanted])
            most = np.unique(decided, return_counts=True)[1].max()
            assert row.constant == pytest.approx(most / decided.size, abs=0.002)
            assert f"{100 * row.constant:.2f}" in str(found)
    assert [row.output for row in found.outputs] == list(answers)
    assert {row.output for row in found.tensors} <= {None}
    (row,) = om.sensitivity(model, om.observe(model, data), data, weights=INT4, method="minmax").rows
    assert row.agreement == found.agreement


# --- refusals -----------------------------------------------------------------------------------------------


def plain_model():
    return model_of([node("Relu", "x", "y")], {}, {"x": ["n", 3]}, ["y"])


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda m, o: om.fold(3), TypeError, "ModelProto or a path"),
        (lambda m, o: om.fold("missing.onnx"), ValueError, "missing.onnx"),
        (lambda m, o: om.observe(m, []), ValueError, "no batches"),
        (lambda m, o: om.observe(m, [np.zeros(3)]), TypeError, "dict"),
        (lambda m, o: om.observe(m, [{"y": np.zeros(3)}]), ValueError, "lacks the inputs x"),
        (lambda m, o: om.observe(m, [{"x": np.zeros((1, 2), np.float32)}]), ValueError, "does not run"),
        (
            lambda m, o: om.observe(m, [*batches(1), {"x": np.full((1, 4, 8, 8), np.nan)}]),
            ValueError,
            "256 of 256 values of the tensor x are NaN or infinite in batch 1",
        ),
        (
            lambda m, o: om.observe(m, [{"x": np.full((1, 4, 8, 8), 1e300)}]),
            ValueError,
            "infinite in batch 0",
        ),
        (lambda m, o: om.observe(m, [{"x": np.zeros((1, 4, 8, 8), np.uint8)}]), ValueError, "does not run"),
        (lambda m, o: om.observe(plain_model(), batches()), ValueError, "float32 weight$"),
        (lambda m, o: om.observe(om.quantize(m, o), batches()), ValueError, "in codes already"),
        (
            lambda m, o: om.quantize(om.quantize(m, o, keep_float=["conv"]), o),
            ValueError,
            "in codes already.* layer deep",
        ),
        (lambda m, o: om.quantize(om.quantize(m, o, parts="activations"), o), ValueError, "in codes already"),
        (
            lambda m, o: om.quantize(m, o, keep_float=["pool"]),
            ValueError,
            "pool, which stays in float anyway",
        ),
        (
            lambda m, o: om.observe(m, [{"x": np.zeros((2, 4, 8), np.float32)}]),
            ValueError,
            r"x has the shape \(2, 4, 8\), and the model takes \(n, 4, 8, 8\)$",
        ),
        (lambda m, o: om.report(m, m, batches(), outputs=["z"]), ValueError, "no output z; it has prob"),
        (lambda m, o: om.report(m, m, batches(), outputs="z"), TypeError, "collection of names"),
        (lambda m, o: om.quantize(plain_model(), o), ValueError, "no Conv, Gemm or MatMul"),
        (
            lambda m, o: om.quantize(m, om.Observation()),
            ValueError,
            "nothing has been observed|another model",
        ),
        (lambda m, o: om.quantize(m, o, activations=UINT4), ValueError, "activations"),
        (lambda m, o: om.quantize(m, o, weights=UINT8), ValueError, "weights"),
        (lambda m, o: om.quantize(m, o, weights=8), TypeError, "grid"),
        (lambda m, o: om.quantize(m, o, weights=formats.E2M1), ValueError, "runs E4M3, E5M2, .*got E2M1"),
        (lambda m, o: om.quantize(m, o, weights=formats.NF4), ValueError, "weights .*got NF4"),
        (lambda m, o: om.quantize(m, o, activations=formats.E3M2), ValueError, "activations .*got E3M2"),
        (lambda m, o: om.quantize(m, o, activations=formats.E8M0), ValueError, "activations .*got E8M0"),
        (lambda m, o: om.quantize(m, o, weights=formats.E4M3, block_size=32), ValueError, "INT4"),
        (lambda m, o: om.quantize(m, o, activations=formats.MXFP8), TypeError, "grid"),
        (lambda m, o: om.quantize(m, o, parts="none"), ValueError, "parts"),
        (lambda m, o: om.quantize(m, o, block_size=32), ValueError, "INT4"),
        (lambda m, o: om.quantize(m, o, matmul_nbits=True), ValueError, "power of two"),
        (lambda m, o: om.quantize(m, o, weights=INT4, block_size=8), ValueError, "at least 16, got 8"),
        (
            lambda m, o: om.quantize(m, o, weights=INT4, block_size=48, matmul_nbits=True),
            ValueError,
            "power of two; got 48",
        ),
        (lambda m, o: om.quantize(m, o, weights=IntGrid.of(3)), ValueError, "weights must be INT8"),
        (lambda m, o: om.quantize(m, o, weights=INT16), ValueError, "weights must be INT8"),
        (
            lambda m, o: om.quantize(m, None, parts="weights", bias_correction=True),
            ValueError,
            "the mean input of conv",
        ),
        (lambda m, o: om.quantize(m, o, method="best"), ValueError, "method"),
        (lambda m, o: om.ranges({}), TypeError, "Observation"),
        (lambda m, o: om.sensitivity(m, o, []), ValueError, "no batches"),
        (lambda m, o: om.report(m, m, []), ValueError, "no batches"),
        (lambda m, o: om.report(m, plain_model(), batches()), ValueError, "none of the float"),
        (lambda m, o: om.Observation().merge(3), TypeError, "Observation"),
        (lambda m, o: om.quantize(samples.path("text_direction.onnx"), o), ValueError, "another model"),
    ],
)
def test_refusals(call, kind, message):
    model = small_network()
    with pytest.raises(kind, match=message):
        call(model, om.observe(model, batches(1)))


def test_layers_of_the_right_type_are_not_called_wrong():
    layer = node("Gemm", "x w", "y", alpha=0.5)
    model = model_of([layer], {"w": np.eye(3)}, {"x": ["n", 3]}, ["y"])
    with pytest.raises(ValueError, match=r"float32 weight$"):
        om.observe(model, [{"x": np.ones((2, 3), np.float32)}])


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_layers_of_other_types_are_named(dtype):
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    model = helper.make_model(
        helper.make_graph(
            [node("MatMul", "x w", "y")],
            "other",
            [helper.make_tensor_value_info("x", kind, ["n", 3])],
            [helper.make_tensor_value_info("y", kind, ["n", 3])],
            [numpy_helper.from_array(np.eye(3, dtype=dtype), "w")],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    with pytest.raises(ValueError, match=f"its weights are {np.dtype(dtype)}"):
        om.observe(model, [{"x": np.zeros((2, 3), dtype)}])


def with_a_branch():
    """A MatMul in the main graph, two in the branches of an If, and a recurrent layer."""
    branches = [
        helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], [name])],
            name,
            [],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)],
        )
        for name in ("yes", "no")
    ]
    return model_of(
        [
            node("MatMul", "x w", "scores"),
            node("ReduceMax", "scores", "most", keepdims=0),
            node("Greater", "most zero", "positive"),
            helper.make_node(
                "If", ["positive"], ["y"], "if", then_branch=branches[0], else_branch=branches[1]
            ),
            node("Unsqueeze", "scores first", "row"),
            helper.make_node("RNN", ["row", "wi", "wh"], ["", "state"], "rnn", hidden_size=2),
        ],
        {"w": np.eye(3), "zero": 0.0, "wi": np.ones((1, 2, 3)), "wh": np.ones((1, 2, 2))},
        {"x": ["n", 3]},
        ["y", "state"],
        integers={"first": [0]},
    )


def test_what_has_no_codes_is_told(tmp_path, capsys):
    onnx.save(with_a_branch(), tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", x=RNG.normal(size=(16, 3)))
    words = ["quantize", tmp_path / "model.onnx", tmp_path / "data.npz", "-o", tmp_path / "int8.onnx"]
    assert command(*words) == 0
    assert "always computed in float: 1 RNN, 2 MatMul in a subgraph" in capsys.readouterr().out
    assert command(*words, "--json", "--outputs", "y", "--auto", "1") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["no_codes"] == {"RNN": 1, "MatMul in a subgraph": 2}
    assert facts["float_bytes"]["RNN"] == 4 * (6 + 4)
    assert command(*words, "--recurrent-weights", "--activations", "uint16") == 0
    assert "opset 21 instead of 17" in capsys.readouterr().out
    made = onnx.load(tmp_path / "int8.onnx")
    assert {TensorProto.INT8, TensorProto.UINT16} <= {t.data_type for t in made.graph.initializer}
    assert ops(made).count("DequantizeLinear") == 4
    assert command(*words, "--recurrent-weights", "--keep-float", "rnn") == 0
    assert "in float 0 of 1 layers: rnn" in capsys.readouterr().out
    assert ops(onnx.load(tmp_path / "int8.onnx")).count("DequantizeLinear") == 2


def test_layers_that_all_lie_in_branches():
    model = with_a_branch()
    del model.graph.node[4:], model.graph.node[0]
    model.graph.node[0].input[0] = "x"
    del model.graph.output[1]
    with pytest.raises(ValueError, match="weight: 2 lie inside If, Loop or Scan"):
        om.observe(model, [{"x": np.ones((2, 3), np.float32)}])


def test_a_batch_of_another_size_than_the_model_states():
    model = model_of([node("Conv", "x w", "y")], {"w": W}, {"x": [1, 4, 8, 8]}, ["y"])
    with pytest.raises(ValueError, match=r"x has the shape \(8, 4, 8, 8\), .*: batches of 1$"):
        om.observe(model, batches(1))


def test_inputs_are_taken_in_the_type_of_the_model():
    model, data = small_network(), batches()
    wide = [{"x": batch["x"].astype(np.float64)} for batch in data]
    assert om.observe(model, wide) == om.observe(model, data)


TYPES = [np.float16, np.float32, np.float64, np.int32, np.int64, np.uint8, np.int8]


@pytest.mark.parametrize("wanted", [*TYPES, np.bool])
@pytest.mark.parametrize("given", [*TYPES, np.uint16, np.uint64, np.bool])
def test_numbers_are_taken_in_the_type_of_an_input_if_they_stay_the_same(given, wanted):
    """Floats are rounded to narrower ones; integers must fit; neither is taken for the other."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(wanted))
    ends = [helper.make_tensor_value_info(name, kind, ["n"]) for name in "xy"]
    graph = helper.make_graph([node("Identity", "x", "y")], "test", ends[:1], ends[1:])
    session = om.session(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    given, wanted = np.dtype(given), np.dtype(wanted)
    values = [np.array([0, 1, 0.1 if given.kind == "f" else 3], given)]
    if given.kind in "iu":
        values.append(np.array([np.iinfo(given).min, np.iinfo(given).max], given))
    for x in values:
        fits = given.kind == wanted.kind in "fb" or (
            {given.kind, wanted.kind} <= {"i", "u"} and x.astype(wanted).tolist() == x.tolist()
        )
        if fits:
            np.testing.assert_array_equal(run(session, {"x": x})[0], x.astype(wanted), strict=True)
        else:
            with pytest.raises(ValueError, match="does not run"):
                run(session, {"x": x})


def test_small_batches_are_counted_like_large_ones():
    """Also where the caller writes to the array it has yielded."""

    def again(rows):
        buffer = np.empty((1, 4, 8, 8), np.float32)
        for row in rows:
            buffer[0] = row
            yield {"x": buffer}

    model, data = small_network(), batches(3)
    whole = np.concatenate([batch["x"] for batch in data])
    one = om.observe(model, [{"x": whole}]).histograms["x"]
    assert one == Histogram().update(whole)
    assert om.observe(model, again(whole)).histograms["x"] == one


# --- the commands -------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    onnx.save(spoiled("dense"), tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", x=np.concatenate([b["x"] for b in batches()]))
    return tmp_path


def command(*words):
    return command_line.main([str(word) for word in words])


def test_from_a_file_to_an_int8_file(files, capsys):
    model, data, out = files / "model.onnx", files / "data.npz", files / "int8.onnx"
    assert command("observe", model, data, "-o", files / "seen.npz") == 0
    assert "relu" in capsys.readouterr().out
    assert om.Observation.load(files / "seen.npz").batches == 4
    choices = ["--observation", files / "seen.npz", "--per-tensor", "--method", "minmax"]
    assert command("blame", model, data, *choices, "--json") == 0
    blamed = json.loads(capsys.readouterr().out)
    assert [row["output_db"] for row in blamed] == sorted(row["output_db"] for row in blamed)
    worst = blamed[0]["layer"]
    assert command("quantize", model, data, "-o", out, *choices, "--auto", "1", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["agreement"] >= 0.99
    assert command("quantize", model, data, "-o", out, "--keep-float", worst) == 0
    assert f"in float 1 of 3 layers: {worst}" in capsys.readouterr().out
    assert command("quantize", model, data, "-o", out, "--auto", "100") == 0
    assert "no layer needs to stay in float for 0 %" in capsys.readouterr().out
    bytes_of = []
    for more in ([], ["--percentile", "90"]):
        assert command("quantize", model, data, "-o", out, "--method", "percentile", *more) == 0
        bytes_of.append(out.read_bytes())
    wanted = om.quantize(model, om.Observation.load(files / "seen.npz"), method="percentile", percentile=90)
    assert bytes_of[0] != bytes_of[1] == wanted.SerializeToString()
    assert command("quantize", model, data, "-o", out, "--percentile", "90") == 2
    assert "percentile" in capsys.readouterr().err
    assert command("quantize", model, data, "-o", out, "--weights", "e4m3", "--activations", "e5m2") == 0
    kinds = {t.data_type for t in onnx.load(out).graph.initializer}
    assert {TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E5M2} <= kinds
    assert command("quantize", model, data, "-o", out) == 0
    capsys.readouterr()
    assert command("report", model, out, data, "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["tensor"] == "scores"


CHOICES = ["--method", "percentile", "--activations", "int8", "--weights", "int4", "--bias-correction"]
CHOSEN = {"method": "percentile", "activations": INT8, "weights": INT4, "bias_correction": True}


def test_the_commands_do_what_the_functions_do(files, capsys):
    """With options of all kinds: the same rows, the same file, the same text."""
    model, path, out = onnx.load(files / "model.onnx"), files / "data.npz", files / "out.onnx"
    x = np.load(path)["x"]
    data = [{"x": x[i : i + 5]} for i in range(0, len(x), 5)]
    observation = om.observe(model, data)

    def printed(name, *words):
        assert command(name, files / "model.onnx", *words, path, "--batch", 5) == 0
        return capsys.readouterr().out

    rows = [line.split() for line in printed("observe").splitlines()]
    assert rows[0] == ["tensor", "values", "min", "max"]
    for name, values, low, high in rows[1:]:
        histogram = observation.histograms[name]
        assert (int(values.replace(",", "")), float(low), float(high)) == pytest.approx(
            (histogram.n, histogram.min, histogram.max), rel=1e-3
        )
    assert rows[1][1] == "8,192"
    assert json.loads(printed("observe", "--json")) == [
        {"tensor": name, "values": h.n, "min": h.min, "max": h.max}
        for name, h in observation.histograms.items()
    ]
    found = om.sensitivity(model, observation, data[:2], **CHOSEN, per_channel=False)  # of five rows
    assert json.loads(printed("blame", *CHOICES, "--per-tensor", "--json")) == found.to_dicts()
    assert printed("blame", *CHOICES, "--per-tensor") == f"{found}\n"
    made = om.quantize(model, observation, **CHOSEN, keep_float=["deep"])
    text = printed("quantize", *CHOICES, "--keep-float", "deep", "-o", out)
    assert out.read_bytes() == made.SerializeToString()
    wanted = om.report(model, made, data)
    assert text.splitlines() == [
        f"{out}: {wanted.files}",
        f"on these data {100 * wanted.agreement:.2f} % of the decisions agree",
        f"at the output {wanted.sqnr_db:.1f} dB of SQNR",
        "in float 1 of 3 layers: deep",
    ]
    assert printed("report", out) == f"{wanted}\n"
    assert json.loads(printed("report", out, "--json")) == wanted.to_dicts()
    assert "no output nobody" in refused(
        capsys, "report", files / "model.onnx", out, path, "--outputs", "nobody"
    )


def refused(capsys, *words):
    assert command(*words) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("there", [True, False])
def test_a_bar_on_a_terminal_alone(there, monkeypatch):
    """And none where tqdm is not installed; what is shown yields the same things."""
    monkeypatch.setattr("sys.stderr", screen := io.StringIO())
    assert list(_progress([1, 2])) == [1, 2]
    assert not screen.getvalue()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stderr", None)  # a program without a console
        assert list(_progress([1, 2])) == [1, 2]
    screen.isatty = lambda: True
    if not there:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    assert list(_progress([1, 2])) == [1, 2]
    assert bool(screen.getvalue()) == there
    assert "\n" not in screen.getvalue()  # gone in the end


def test_a_reader_that_stops_reading(files, monkeypatch):
    """As `head` does: no message, and nothing that fails once more when Python ends."""

    class Closed(io.StringIO):
        def write(self, _):
            raise BrokenPipeError

        def fileno(self):
            return 99

    replaced = []
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", Closed())
        patch.setattr("os.dup2", lambda *pair: replaced.append(pair))
        assert command("observe", files / "model.onnx", files / "data.npz") == 141
    ((new, old),) = replaced
    assert old == 99
    assert os.path.samestat(os.fstat(new), os.stat(os.devnull))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["observe", "missing.onnx", "data.npz"], "missing.onnx cannot be read"),
        (["observe", "model.onnx", "missing.npz"], "missing.npz cannot be read"),
        (["observe", "data.npz", "data.npz"], "not an ONNX model"),
        (["observe", "model.onnx", "other.npz"], "lacks the inputs x"),
        (["observe", "model.onnx", "data.npz", "--batch", "0"], "--batch"),
        (["quantize", "model.onnx", "data.npz", "-o", "no/such/folder.onnx"], "folder.onnx"),
        (["quantize", "model.onnx", "data.npz", "-o", "x.onnx", "--keep-float", "nobody"], "nobody"),
        (["blame", "model.onnx", "data.npz", "--method", "best"], "method"),
        (["blame", "model.onnx", "data.npz", "--outputs", "nobody"], "nobody"),
        (["observe", "model.onnx", "empty.npz"], "empty.npz has no rows"),
        (["observe", "model.onnx", "text.npz"], "text.npz is no .npz or .npy file of numbers"),
        (["observe", "model.onnx", "objects.npz"], "objects.npz is no .npz or .npy file of numbers"),
        (["observe", "model.onnx", "cut.npz"], "cut.npz is no .npz or .npy file of numbers"),
    ],
)
def test_one_line_and_exit_code_2(files, monkeypatch, capsys, words, message):
    monkeypatch.chdir(files)
    np.savez("other.npz", a=np.zeros(3), b=np.zeros(3))
    np.savez("empty.npz", x=np.zeros((0, 4, 8, 8), np.float32))
    np.savez("objects.npz", x=np.array([{}]))
    (files / "text.npz").write_text("hello")
    (files / "cut.npz").write_bytes((files / "data.npz").read_bytes()[:1000])
    assert command(*words) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not printed.out


@pytest.mark.parametrize("words", [["observe"], ["quantize", "--json"]])
def test_a_missing_folder_is_told_before_the_work(words, files, monkeypatch, capsys):
    monkeypatch.setattr("quantnotes.onnx_model.command.observe", None)
    out = files / "none" / "out"
    assert command(words[0], files / "model.onnx", files / "data.npz", *words[1:], "-o", out) == 2
    assert "there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["observe"], ["blame"], ["quantize", "-o", "int8.onnx"]])
def test_ctrl_c(words, files, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.chdir(files)
    monkeypatch.setattr("quantnotes.onnx_model.command.observe", interrupted)
    assert command(words[0], "model.onnx", "data.npz", *words[1:]) == 130
    assert capsys.readouterr() == ("", "quantnotes: interrupted\n")
    assert not (files / "int8.onnx").exists()


def test_blame_says_how_many_layers_it_has_measured(files, capsys):
    assert command("blame", files / "model.onnx", files / "data.npz", "--json") == 0
    printed = capsys.readouterr()
    names = [layer.name for layer in Graph.of(onnx.load(files / "model.onnx")).layers()]
    assert printed.err.splitlines() == [
        f"measured {i} of 3 layers: {name}" for i, name in enumerate(names, 1)
    ]
    assert sorted(row["layer"] for row in json.loads(printed.out)) == sorted(names)


@pytest.mark.parametrize("measured", [1, 2])
def test_ctrl_c_leaves_the_layers_measured_so_far(measured, files, monkeypatch, capsys):
    def interrupted(names):
        yield from names[:measured]
        raise KeyboardInterrupt

    monkeypatch.setattr("quantnotes.onnx_model.command._layers", interrupted)
    assert command("blame", files / "model.onnx", files / "data.npz", "--json") == 130
    printed = capsys.readouterr()
    names = [layer.name for layer in Graph.of(onnx.load(files / "model.onnx")).layers()]
    rows = json.loads(printed.out)
    assert {row["layer"] for row in rows} == set(names[:measured])
    assert [row["output_db"] for row in rows] == sorted(row["output_db"] for row in rows)
    assert printed.err == "quantnotes: interrupted\n"


@pytest.mark.parametrize(
    ("kept", "share", "warned"),
    [([], 0.9, False), (["conv"], 0.7, False), (["conv"], 0.8, True), (["conv", "deep"], 0.5, True)],
)
def test_auto_warns_where_it_gains_little(kept, share, warned, files, monkeypatch, capsys):
    """Over half of the layers in float, or a file of three quarters; not where all are in codes."""
    model = onnx.load(files / "model.onnx")
    size = om.quantize(model, om.observe(model, batches()), keep_float=kept).ByteSize()
    unused = np.zeros(round(size / share - model.ByteSize()) // 4, np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(unused, "unused"))
    onnx.save(model, files / "model.onnx")
    monkeypatch.setattr("quantnotes.onnx_model.command.keep_float_for", lambda *_, **__: list(kept))
    words = ["quantize", files / "model.onnx", files / "data.npz", "-o", files / "x.onnx", "--auto", "0.5"]
    assert command(*words) == 0
    printed = capsys.readouterr()
    assert (f"asks for {len(kept)} of 3 layers in float" in printed.err) == warned
    assert (f"in float {len(kept)} of 3 layers" in printed.out) == bool(kept)


def test_auto_writes_no_file_where_all_layers_would_stay_in_float(files, monkeypatch, capsys):
    """And says what share of the decisions one row is."""
    layers = [layer.name for layer in Graph.of(onnx.load(files / "model.onnx")).layers()]
    monkeypatch.setattr("quantnotes.onnx_model.command.keep_float_for", lambda *_, **__: layers)
    x = np.concatenate([batch["x"] for batch in batches()])
    np.savez(files / "eight.npz", x=x[:8])
    words = ["quantize", files / "model.onnx", files / "eight.npz", "-o", files / "x.onnx", "--auto", "0.5"]
    assert command(*words) == 2
    printed = capsys.readouterr()
    assert "of 8 rows, one is 12.5 %; take more rows" in printed.err
    assert printed.err.count("\n") == 1
    assert not (files / "x.onnx").exists()


def test_help_names_all_commands_and_the_batch(capsys):
    assert command("--help") == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ["compare", "observe", "quantize", "blame", "report"])
    with pytest.raises(SystemExit):
        command("blame", "--help")
    printed = capsys.readouterr().out
    assert all(word in printed for word in ["default: 8", "--rows", "scalar"])


@pytest.mark.parametrize("name", ["observe", "blame", "quantize", "report"])
def test_help_has_a_word_on_every_argument(name):
    """In one style: lower case and no full stop, as argparse's own."""
    (commands,) = [action.choices for action in _parser()._actions if action.choices]
    described = [a for a in commands[name]._actions if a.help or not a.choices]
    for text in (commands[name].description, *(action.help for action in described)):
        assert text[0].islower() or text.startswith(".")
        assert text[-1] != "."
    assert {"--json", "--batch"} <= {option for action in described for option in action.option_strings}


def test_json_has_no_infinity(files, capsys):
    layers = [layer.name for layer in Graph.of(onnx.load(files / "model.onnx")).layers()]
    words = ["quantize", files / "model.onnx", files / "data.npz", "-o", files / "x.onnx", "--json"]
    assert command(*words, "--keep-float", *layers) == 0
    facts = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert facts["sqnr_db"] is None or facts["sqnr_db"] > 90


def test_only_the_outputs_named_count(tmp_path, capsys):
    """Both in what `--auto` keeps in float, and in what is printed."""
    rng = np.random.default_rng(0)
    good = rng.normal(size=(7, 5))
    model = model_of(
        [node("MatMul", "x w", "y"), node("MatMul", "x v", "z")],
        {"w": good, "v": good * [1, 1e-4, 1e-4, 1e-4, 1e-4]},
        {"x": ["n", 7]},
        ["y", "z"],
    )
    x = rng.normal(size=(200, 7)).astype(np.float32)
    onnx.save(model, tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", x=x)
    words = ["quantize", tmp_path / "model.onnx", tmp_path / "data.npz", "-o", tmp_path / "int8.onnx"]
    found = {}
    for outputs in (["y"], ["z"], ["y", "z"], []):
        named = ["--outputs", *outputs] if outputs else []
        assert command(*words, *named, "--per-tensor", "--auto", "5", "--json") == 0
        found[tuple(outputs)] = facts = json.loads(capsys.readouterr().out)
        wanted = om.report(model, tmp_path / "int8.onnx", [{"x": x}], outputs=outputs or None)
        assert facts["agreement"] == wanted.agreement
        assert facts["sqnr_db"] == (pytest.approx(wanted.sqnr_db) if wanted.sqnr_db < np.inf else None)
    assert found["y",]["keep_float"] == []
    assert found["z",]["keep_float"] == ["z"]
    assert found["y", "z"] == found[()]


def test_data_in_one_array(files, capsys):
    np.save(files / "data.npy", batches(1)[0]["x"])
    assert command("observe", files / "model.onnx", files / "data.npy", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["tensor"] == "x"


def two_inputs(first, second):
    """A model whose inputs have these shapes."""
    return model_of(
        [
            node("MatMul", "x w", "scores"),
            node("ReduceSum", "h", "total", keepdims=0),
            node("Add", "scores total", "y"),
        ],
        {"w": np.eye(3)},
        {"x": first, "h": second},
        ["y"],
    )


@pytest.mark.parametrize(
    ("first", "second", "data", "sizes"),
    [
        (["n", 3], [1, 1, 2], {"x": 10, "h": 1}, [4, 4, 2]),  # a state: every batch begins with it
        (["n", 3], [2, 1, 2], {"x": 10, "h": 2}, [4, 4, 2]),
        (["n", 3], ["n", 1, 2], {"x": 10, "h": 10}, [4, 4, 2]),
        ([5, 3], [1, 1, 2], {"x": 10, "h": 1}, [5, 5]),  # the model says how many, whatever was asked for
        ([1, 3], [1, 1, 2], {"x": 3, "h": 1}, [1, 1, 1]),
        (["n", 3], [6, 1, 2], {"x": 6, "h": 6}, [6]),
        ([5, 3], [5, 1, 2], {"x": 12, "h": 12}, [5, 5]),
        (["n", 3], [2, "n", 2], {"x": 3, "h": 2}, [1, 1, 1]),
        (["n", 3], [2, "m", 2], {"x": 6, "h": 2}, [4, 2]),
    ],
)
def test_how_data_become_batches(first, second, data, sizes, tmp_path):
    onnx.save(two_inputs(first, second), tmp_path / "model.onnx")
    np.savez(
        tmp_path / "data.npz",
        x=np.zeros((data["x"], 3), np.float32),
        h=np.zeros((data["h"], 1, 2), np.float32),
    )
    found = read_batches(tmp_path / "model.onnx", tmp_path / "data.npz", 4)
    assert [len(batch["x"]) for batch in found] == sizes
    assert om.observe(tmp_path / "model.onnx", found).batches == len(sizes)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((4, 3)), "h": np.zeros((5, 1, 2))}, r"different numbers of rows: \[4, 5\]"),
        ({"x": np.zeros((4, 3))}, "lacks the inputs h; it has x"),
        (np.zeros((4, 3)), "the model has 2 inputs: put an array for each into an .npz file"),
    ],
)
def test_data_that_make_no_batches(arrays, message, tmp_path):
    onnx.save(two_inputs(["n", 3], ["n", 1, 2]), tmp_path / "model.onnx")
    if isinstance(arrays, dict):
        np.savez(tmp_path / "data.npz", **arrays)
    else:
        with (tmp_path / "data.npz").open("wb") as file:
            np.save(file, arrays)
    with pytest.raises(ValueError, match=message):
        read_batches(tmp_path / "model.onnx", tmp_path / "data.npz", 4)


def test_numbers_that_are_no_arrays_go_into_every_batch(tmp_path):
    """A scalar among the inputs; and one array for one input, whatever its name."""
    model = model_of(
        [node("MatMul", "x w", "h"), node("Mul", "h t", "y")],
        {"w": np.eye(3)},
        {"x": ["n", 3], "t": []},
        ["y"],
    )
    onnx.save(model, tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", x=np.zeros((6, 3), np.float32), t=np.float32(2))
    found = read_batches(tmp_path / "model.onnx", tmp_path / "data.npz", 4)
    assert [(len(batch["x"]), float(batch["t"])) for batch in found] == [(4, 2.0), (2, 2.0)]
    onnx.save(small_network(), tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", anything=batches(1)[0]["x"])
    (found,) = read_batches(tmp_path / "model.onnx", tmp_path / "data.npz", 8)
    assert found["x"].shape == (8, 4, 8, 8)


def test_too_few_rows_for_one_batch(tmp_path):
    onnx.save(two_inputs([5, 3], [1, 1, 2]), tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", x=np.zeros((3, 3), np.float32), h=np.zeros((1, 1, 2), np.float32))
    with pytest.raises(ValueError, match="5 rows at a time"):
        read_batches(tmp_path / "model.onnx", tmp_path / "data.npz", 4)
