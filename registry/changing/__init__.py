"""Another model for a registry: made beside the old one, compared, and switched to."""
