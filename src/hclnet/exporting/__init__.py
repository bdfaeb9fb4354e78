"""A localizer -> one file that other programs run: ONNX or OpenVINO, uint8 squares in, probabilities and maps out."""

KINDS = {"onnx": ".onnx", "openvino": ".xml"}
"""What a localizer can be exported to, and how the file's name ends."""

PRECISIONS = ("float32", "float16", "int8")
"""What the layers of a file compute in."""
