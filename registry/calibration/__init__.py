"""Calibration: thresholds measured on a registry's own videos."""
