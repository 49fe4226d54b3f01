"""Side effects of a release, one class per subject, with the clients injected by `worker.py`."""
