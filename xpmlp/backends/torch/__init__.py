"""PyTorch, on a CPU or a GPU, without its autograd: steps in CUDA graphs."""
