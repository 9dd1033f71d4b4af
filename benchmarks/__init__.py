"""Measurements that README and docs state; `make bench` runs them all."""
