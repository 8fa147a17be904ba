"""Other people's detectors, to measure ours against: `mesonet` (published weights) and `bare` (any ONNX file).

They see the same files through the same face finder; `opening` tells them apart. Nothing here serves.
"""
