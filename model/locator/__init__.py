"""Our own face locator: distilled from a teacher's answers, composed into scenes, trained on a CPU in half an hour.

Training it needs images and a teacher file; using it needs only `locator.onnx` and `model.faces`.
"""
