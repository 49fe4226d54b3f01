"""A simulated Kubernetes cluster behind a real HTTP API; `cluster.Cluster` is the way in."""
