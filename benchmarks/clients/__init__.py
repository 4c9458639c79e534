"""The clients to measure, one module each."""
