"""Quantization of neural networks, as the notebooks derive it: ``r = S(q - Z)`` and what follows.

Names load on first use, so that importing the package costs little more than importing NumPy.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantnotes import samples as samples
    from quantnotes.asymmetric import asymmetric_params as asymmetric_params
    from quantnotes.calibration import Calibrator as Calibrator
    from quantnotes.calibration import choose_range as choose_range
    from quantnotes.calibration import make_params as make_params
    from quantnotes.comparison.array import Comparison as Comparison
    from quantnotes.comparison.survey import Survey as Survey
    from quantnotes.comparison.survey import compare as compare
    from quantnotes.dynamic import quantize_dynamic as quantize_dynamic
    from quantnotes.entropy import entropy_range as entropy_range
    from quantnotes.equivalence import bias_correction as bias_correction
    from quantnotes.equivalence import equalize as equalize
    from quantnotes.equivalence import fold_batch_norm as fold_batch_norm
    from quantnotes.equivalence import hadamard as hadamard
    from quantnotes.equivalence import rotate as rotate
    from quantnotes.equivalence import smooth_factors as smooth_factors
    from quantnotes.grid import INT2 as INT2
    from quantnotes.grid import INT4 as INT4
    from quantnotes.grid import INT8 as INT8
    from quantnotes.grid import INT8_NARROW as INT8_NARROW
    from quantnotes.grid import INT16 as INT16
    from quantnotes.grid import UINT2 as UINT2
    from quantnotes.grid import UINT4 as UINT4
    from quantnotes.grid import UINT8 as UINT8
    from quantnotes.grid import UINT16 as UINT16
    from quantnotes.grid import IntGrid as IntGrid
    from quantnotes.histogram import Histogram as Histogram
    from quantnotes.integer import MatmulTerms as MatmulTerms
    from quantnotes.integer import fixed_point_multiplier as fixed_point_multiplier
    from quantnotes.integer import int_conv as int_conv
    from quantnotes.integer import int_matmul as int_matmul
    from quantnotes.integer import matmul_terms as matmul_terms
    from quantnotes.integer import pack_int4 as pack_int4
    from quantnotes.integer import quantize_bias as quantize_bias
    from quantnotes.integer import requantize as requantize
    from quantnotes.integer import unpack_int4 as unpack_int4
    from quantnotes.mapping import QuantParams as QuantParams
    from quantnotes.mapping import dequantize as dequantize
    from quantnotes.mapping import fake_quantize as fake_quantize
    from quantnotes.mapping import quantize as quantize
    from quantnotes.mse import mse_range as mse_range
    from quantnotes.outliers import histogram_range as histogram_range
    from quantnotes.outliers import shortest_range as shortest_range
    from quantnotes.params_file import load_params as load_params
    from quantnotes.params_file import save_params as save_params
    from quantnotes.percentile import percentile_range as percentile_range
    from quantnotes.ranges import Range as Range
    from quantnotes.ranges import minmax_range as minmax_range
    from quantnotes.rounding import gptq as gptq
    from quantnotes.saturation import CodeLedger as CodeLedger
    from quantnotes.saturation import LedgerTable as LedgerTable
    from quantnotes.saturation import code_ledger as code_ledger
    from quantnotes.saturation import ledger_table as ledger_table
    from quantnotes.symmetric import symmetric_params as symmetric_params

__version__ = "0.2.0"

_MODULES = {  # the public names by the module that defines them
    "asymmetric": ["asymmetric_params"],
    "calibration": ["Calibrator", "choose_range", "make_params"],
    "comparison.array": ["Comparison"],
    "comparison.survey": ["Survey", "compare"],
    "dynamic": ["quantize_dynamic"],
    "entropy": ["entropy_range"],
    "equivalence": [
        "bias_correction",
        "equalize",
        "fold_batch_norm",
        "hadamard",
        "rotate",
        "smooth_factors",
    ],
    "grid": ["INT2", "INT4", "INT8", "INT8_NARROW", "INT16", "UINT2", "UINT4", "UINT8", "UINT16", "IntGrid"],
    "histogram": ["Histogram"],
    "integer": [
        "MatmulTerms",
        "fixed_point_multiplier",
        "int_conv",
        "int_matmul",
        "matmul_terms",
        "pack_int4",
        "quantize_bias",
        "requantize",
        "unpack_int4",
    ],
    "mapping": ["QuantParams", "dequantize", "fake_quantize", "quantize"],
    "mse": ["mse_range"],
    "outliers": ["histogram_range", "shortest_range"],
    "params_file": ["load_params", "save_params"],
    "percentile": ["percentile_range"],
    "ranges": ["Range", "minmax_range"],
    "rounding": ["gptq"],
    "saturation": ["CodeLedger", "LedgerTable", "code_ledger", "ledger_table"],
    "symmetric": ["symmetric_params"],
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}
_MOVED = {  # for one release: see CHANGES.md
    "exercises": "quantnotes.course.exercises",
    "note_histogram_scale": "quantnotes.outliers",
    "mutants": "quantnotes.course.museum",
    "plots": "quantnotes.course.plots",
    "widgets": "quantnotes.course.widgets",
}

__all__ = sorted([*_HOME, "samples"])


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f"quantnotes.{_HOME[name]}"), name)
    elif name in _MOVED:
        return _moved(name)
    elif name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    else:
        try:
            value = importlib.import_module(f"quantnotes.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"quantnotes.{name}":
                raise
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    globals()[name] = value
    return value


def _moved(name: str) -> Any:
    import warnings

    place = _MOVED[name]
    warnings.warn(f"quantnotes.{name} has moved to {place}", DeprecationWarning, stacklevel=3)
    module = importlib.import_module(place)
    return getattr(module, name, module)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
