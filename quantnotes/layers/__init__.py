"""The layers of a network, each in floats and quantized: dense and convolutional, pooling, tables, sums.

A float layer is called with an activation; its quantized form adds scales and zero points and runs in two
ways that agree on every code: `fake`, in float64 on the reals that codes stand for, and `integer`, on codes
alone. `Add`, `Multiply` and `Concat` hold networks of their own as branches, so that a sequence of layers can
express residual connections and gates.

Not covered: attention, recurrence, transposed convolutions; how scales are chosen, see
:mod:`quantnotes.network`.
"""

from quantnotes.layers.base import Layer, QuantLayer, Weighted
from quantnotes.layers.branches import Add, Branching, Concat, Multiply, QuantAdd, QuantConcat, QuantMultiply
from quantnotes.layers.pooling import AveragePool, Flatten, MaxPool, QuantAveragePool, QuantSelection
from quantnotes.layers.tables import FUNCTIONS, QuantSoftmax, QuantTable, Softmax, Table
from quantnotes.layers.weighted import BatchNorm, Conv, Dense, QuantConv, QuantDense

__all__ = [
    "FUNCTIONS",
    "Add",
    "AveragePool",
    "BatchNorm",
    "Branching",
    "Concat",
    "Conv",
    "Dense",
    "Flatten",
    "Layer",
    "MaxPool",
    "Multiply",
    "QuantAdd",
    "QuantAveragePool",
    "QuantConcat",
    "QuantConv",
    "QuantDense",
    "QuantLayer",
    "QuantMultiply",
    "QuantSelection",
    "QuantSoftmax",
    "QuantTable",
    "Softmax",
    "Table",
    "Weighted",
]
