"""Quantization that is simulated as TFLite Micro computes it, calibrated or trained, and written as simulated."""
