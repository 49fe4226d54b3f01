"""Two whole clusters and a hub in network namespaces: kubelets, containers, gateway, metrics."""
