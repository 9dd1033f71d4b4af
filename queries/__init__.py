"""What is read from a registry: reports, averages by identity, lookups, exports."""
