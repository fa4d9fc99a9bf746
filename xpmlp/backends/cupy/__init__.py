"""CuPy, on an NVIDIA GPU: products by cuBLAS, elementwise work in fused kernels, steps in CUDA graphs."""
