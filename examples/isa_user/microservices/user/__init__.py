"""User accounts: the service `user`, port 8201."""
