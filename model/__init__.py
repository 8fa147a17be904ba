"""The detector: bytes in, calibrated P(fake) out; training, evaluation and releases. It knows no platform."""
