"""Status, doctor and metrics: what a registry holds, and whether it is intact."""
