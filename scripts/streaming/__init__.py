"""The parts of `scripts/benchmark_streams.py`: made-up data, and one training in a process of its own."""
