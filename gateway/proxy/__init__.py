"""The data plane: one request, synchronous from parsed bytes to upstream write."""
