"""Networks as ONNX graphs: what they compute from raw numbers to probabilities, for programs that know no torch."""
