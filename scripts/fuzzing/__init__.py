"""The parts of `scripts/fuzz_files.py`: what is fuzzed, with which valid files to begin, and one run of the fuzzer."""
