"""Research on the detector: what trains, measures and compares. Nothing that serves imports it."""
