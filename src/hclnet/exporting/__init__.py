"""A localizer -> one file that other programs run, uint8 squares in, probabilities and maps out; or a page with it."""

KINDS = {"onnx": ".onnx", "openvino": ".xml", "web": ""}
"""What a localizer can be exported to, and how the file's name ends; a page is a folder."""

PRECISIONS = ("float32", "float16", "int8")
"""What the layers of a file compute in."""
