"""Commands that erase people and videos, lift blocks, and set the retention period."""
