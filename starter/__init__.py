"""What people use: the `tidegate` command."""
