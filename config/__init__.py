"""Settings and desk files, read and validated; imports nothing of ours but core."""
