"""What the control-plane bed promises, on real control planes."""
