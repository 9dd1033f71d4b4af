"""The operating system: files, processes, their confinement, and TLS certificates."""
