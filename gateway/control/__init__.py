"""The control plane: loops that turn what was measured into what is routed."""
