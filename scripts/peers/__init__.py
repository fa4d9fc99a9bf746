"""The parts of `scripts/benchmark_peers.py`: what is trained, with what, how it is measured, and how it is shown."""
