"""Tables that round their input: bins, what is clamped, what rounding may change."""
