"""Copies of a registry: backup, restore, and migration to another place."""
