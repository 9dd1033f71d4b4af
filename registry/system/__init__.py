"""The operating system: files, TLS certificates, and what a process is confined to."""
