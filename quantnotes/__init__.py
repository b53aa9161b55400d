"""Quantization of neural networks, as the notebooks derive it: ``r = S(q - Z)`` and what follows.

Everything here needs NumPy alone. Each module belongs to a notebook, and opens with what it leaves out.
"""

from quantnotes import samples
from quantnotes.asymmetric import asymmetric_params
from quantnotes.calibration import Calibrator, percentile_range
from quantnotes.comparison import Comparison
from quantnotes.entropy import entropy_range
from quantnotes.grid import INT2, INT4, INT8, INT8_NARROW, INT16, UINT2, UINT4, UINT8, UINT16, IntGrid
from quantnotes.histogram import Histogram
from quantnotes.integer import (
    MatmulTerms,
    fixed_point_multiplier,
    int_matmul,
    matmul_terms,
    pack_int4,
    quantize_bias,
    requantize,
    unpack_int4,
)
from quantnotes.mapping import QuantParams, dequantize, fake_quantize, quantize
from quantnotes.mse import mse_range
from quantnotes.outliers import histogram_range, note_histogram_scale, shortest_range
from quantnotes.ranges import Range, minmax_range
from quantnotes.saturation import CodeLedger, LedgerTable, code_ledger, ledger_table
from quantnotes.survey import Survey, compare
from quantnotes.symmetric import symmetric_params

__version__ = "0.1.0"

__all__ = [
    "INT2",
    "INT4",
    "INT8",
    "INT8_NARROW",
    "INT16",
    "UINT2",
    "UINT4",
    "UINT8",
    "UINT16",
    "Calibrator",
    "CodeLedger",
    "Comparison",
    "Histogram",
    "IntGrid",
    "LedgerTable",
    "MatmulTerms",
    "QuantParams",
    "Range",
    "Survey",
    "asymmetric_params",
    "code_ledger",
    "compare",
    "dequantize",
    "entropy_range",
    "fake_quantize",
    "fixed_point_multiplier",
    "histogram_range",
    "int_matmul",
    "ledger_table",
    "matmul_terms",
    "minmax_range",
    "mse_range",
    "note_histogram_scale",
    "pack_int4",
    "percentile_range",
    "quantize",
    "quantize_bias",
    "requantize",
    "samples",
    "shortest_range",
    "symmetric_params",
    "unpack_int4",
]
