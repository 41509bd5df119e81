"""What must survive a restart: predictions that wait for their labels, counters, and how far each source was read."""
