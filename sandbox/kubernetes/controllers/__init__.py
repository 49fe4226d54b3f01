"""What makes a cluster alive: each controller follows the store's events and writes back."""
