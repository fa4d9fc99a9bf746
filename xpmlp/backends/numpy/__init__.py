"""NumPy, on the CPU: steps are recorded on a tape and replayed."""
