"""The parts of scripts/benchmark_distributed.py: what a rank measures, and a model of what more ranks would take."""
