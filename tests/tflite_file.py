"""TFLite files of a few operations, made without a converter."""

import numpy as np
import pytest


def tflite_file(constants, operations, shapes, outputs):
    """A float32 network, as the content of a `.tflite` file.

    Args:
        constants: arrays by name.
        operations: (`FULLY_CONNECTED` or `SUB`, names of what it takes, name of what it gives).
        shapes: of all that is no constant, by name. What no operation gives is an input.
        outputs: names of what comes out.
    """
    pytest.importorskip("flatbuffers", reason="the test's network is written with flatbuffers")
    pytest.importorskip("ai_edge_litert", reason="TFLite's schema comes with ai-edge-litert")
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    places = {name: place for place, name in enumerate([*constants, *shapes])}
    graph = schema.SubGraphT()
    graph.tensors = [
        *(_table(schema, "TensorT", name=n, shape=[*constants[n].shape], type=0, buffer=1 + b)
          for b, n in enumerate(constants)),
        *(_table(schema, "TensorT", name=n, shape=[*shapes[n]], type=0, buffer=0)
          for n in shapes),
    ]  # fmt: skip
    inputs = [name for name in shapes if name not in [gives for _, _, gives in operations]]
    graph.inputs, graph.outputs = ([places[name] for name in side] for side in (inputs, outputs))
    kinds = sorted({kind for kind, _, _ in operations})
    graph.operators = [_operator(schema, kinds, places, *operation) for operation in operations]
    signature = _table(schema, "SignatureDefT", signatureKey="serving_default", subgraphIndex=0)
    signature.inputs, signature.outputs = (
        [_table(schema, "TensorMapT", name=name, tensorIndex=places[name]) for name in side]
        for side in (inputs, outputs)
    )
    contents = [np.frombuffer(a.astype("<f4").tobytes(), np.uint8) for a in constants.values()]
    buffers = [_table(schema, "BufferT", data=content) for content in (None, *contents)]
    model = _table(schema, "ModelT", version=3, buffers=buffers, subgraphs=[graph])
    codes = [getattr(schema.BuiltinOperator, kind) for kind in kinds]
    model.operatorCodes = [
        _table(schema, "OperatorCodeT", builtinCode=code, deprecatedBuiltinCode=code, version=1)
        for code in codes
    ]
    model.signatureDefs = [signature]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _operator(schema, kinds, places, kind, takes, gives):
    options = {"FULLY_CONNECTED": "FullyConnectedOptions", "SUB": "SubOptions"}[kind]
    return _table(
        schema,
        "OperatorT",
        opcodeIndex=kinds.index(kind),
        inputs=[places[name] for name in takes],
        outputs=[places[gives]],
        builtinOptionsType=getattr(schema.BuiltinOptions, options),
        builtinOptions=getattr(schema, f"{options}T")(),
    )


def _table(schema, kind, **fields):
    table = getattr(schema, kind)()
    for name, value in fields.items():
        setattr(table, name, value)
    return table
