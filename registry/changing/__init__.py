"""Changing the face model of a registry: prepared beside the old one, previewed, switched to."""
