"""JAX, on any device that it finds: steps are compiled by `jax.jit`."""
