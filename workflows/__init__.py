"""The order of steps, the waiting and the compensation: deterministic."""
