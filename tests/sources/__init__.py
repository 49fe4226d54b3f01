"""Our source of metrics at real servers that speak as Prometheus does (marker real)."""
