"""From an ONNX file to an int8 one: observe a float model, quantize it, and see which layer is to blame.

Any model with float Conv, Gemm or MatMul whose weights are constants; needs the packages onnx and onnxruntime
(the extra ``onnx``). A file's path will do wherever a model is asked for.

Not covered: training, and quantizing what lies inside If, Loop and Scan.
"""

from quantnotes.onnx_model.blame import Report, Sensitivity, keep_float_for, report, sensitivity
from quantnotes.onnx_model.graph import fold, session
from quantnotes.onnx_model.observation import Observation, observe, ranges, to_onnxruntime
from quantnotes.onnx_model.writing import quantize

__all__ = [
    "Observation",
    "Report",
    "Sensitivity",
    "fold",
    "keep_float_for",
    "observe",
    "quantize",
    "ranges",
    "report",
    "sensitivity",
    "session",
    "to_onnxruntime",
]
