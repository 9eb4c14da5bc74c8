"""A policy on ONNX Runtime: `graph` and `write` export it with PyTorch; the other modules serve it without."""
