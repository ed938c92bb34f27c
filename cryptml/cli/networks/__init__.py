"""Commands of a provider who trains, judges and builds networks."""
