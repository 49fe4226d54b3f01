"""Invoices: the service `billing`, port 8216."""
