"""All controllers of one cluster, started and stopped together."""

from __future__ import annotations

from sandbox.kubernetes.controllers.autoscaling import AutoscalerController
from sandbox.kubernetes.controllers.deployments import DeploymentController
from sandbox.kubernetes.controllers.disruption import DisruptionController
from sandbox.kubernetes.controllers.endpoints import EndpointSliceController
from sandbox.kubernetes.controllers.kubelet import Kubelets
from sandbox.kubernetes.controllers.namespaces import NamespaceController
from sandbox.kubernetes.controllers.pod_life import Node
from sandbox.kubernetes.controllers.replicasets import ReplicaSetController
from sandbox.kubernetes.controllers.routes import GatewayController, RouteController
from sandbox.kubernetes.deletion import GarbageCollector


class ControlPlane:
    """The controllers, the kubelets and the garbage collector of one store."""

    def __init__(self, node: Node) -> None:
        store = node.store
        GarbageCollector(store)
        self.kubelets = Kubelets(node)
        self._controllers = [
            NamespaceController(store),
            DeploymentController(store, node.events, node.timing.speed),
            ReplicaSetController(store, node.events, node.timing.chance),
            EndpointSliceController(store),
            AutoscalerController(store),
            DisruptionController(store),
            GatewayController(store),
            RouteController(store),
        ]

    def start(self) -> None:
        """Follow the store from now on; start before the first object is created."""
        self.kubelets.start()
        for controller in self._controllers:
            controller.start()

    async def close(self) -> None:
        """Stop all of them."""
        for controller in self._controllers:
            await controller.close()
        await self.kubelets.close()
