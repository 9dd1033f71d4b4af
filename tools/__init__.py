"""Programs for those who work on face-registry; no part of what is installed."""
