"""The objects of a registry elsewhere: backup, restore, migration."""
