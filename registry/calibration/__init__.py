"""Thresholds measured on a registry's own videos, and those that are in force."""
