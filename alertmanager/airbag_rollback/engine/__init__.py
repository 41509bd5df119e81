"""The decisions of a rollback: values in, values out. No network, no disk, no clock."""
