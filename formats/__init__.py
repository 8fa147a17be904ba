"""File formats: what can be said of a file's bytes without decoding a pixel."""
