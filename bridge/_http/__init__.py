"""HTTP between the two specifications. Pure: no thread, no event loop, no I/O."""
