"""One module per outside system: they know the wire, not Temporal, not the process."""
