"""States of recurrent operators that a model itself sets before they run."""

from __future__ import annotations

from micro.tflite.graph import packed, schema_module


def without_starts(content: bytes) -> bytes | None:
    """The model without the operators that set states to constants; None where it has none.

    TFLite Micro runs them at every inference. TFLite's own kernels take them for constants, which no operator may change; they
    have a call that sets all states to 0 in place of them.
    """
    schema = schema_module()
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    reshapes = [
        number
        for number, code in enumerate(model.operatorCodes)
        if max(code.builtinCode, code.deprecatedBuiltinCode) == schema.BuiltinOperator.RESHAPE
    ]
    kept = [
        operator
        for operator in graph.operators
        if operator.opcodeIndex not in reshapes or not graph.tensors[int(operator.outputs[0])].isVariable
    ]
    if len(kept) == len(graph.operators):
        return None
    graph.operators = kept
    return packed(model)
