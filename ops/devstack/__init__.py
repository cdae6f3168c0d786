"""The whole system on one machine, on real servers: for the demo, for `make up`, for tests."""
