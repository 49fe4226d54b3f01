"""HTTP plumbing that every service carries in its image: health, metrics, logs, traces."""
