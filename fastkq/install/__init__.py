"""A machine and its kernels: compiled once, checked on demand."""
