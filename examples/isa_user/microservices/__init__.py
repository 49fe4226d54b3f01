"""The microservices of isA: each folder is one service; `service_kit` is in every image."""
