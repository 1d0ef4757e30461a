"""Models as files of other tools: NVIDIA's and rosinality's tensors, ONNX and PyTorch's exported programs.

`export_model` writes a checkpoint in one of the formats of `EXPORTS`. Licence, credit of the data, digest and source
travel inside the file and as a text beside it.
"""

from ganlib.models.export.about import licence_text
from ganlib.models.export.formats import EXPORTS, Export, check_export, export_model
from ganlib.models.export.graphs import OPSET, PARTS

__all__ = ["EXPORTS", "OPSET", "PARTS", "Export", "check_export", "export_model", "licence_text"]
