"""The feeder: OpenDSS model, secondaries, base load, and what a reader must know of it."""
