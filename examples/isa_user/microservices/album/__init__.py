"""Photo albums: the service `album`, port 8219."""
