"""What an operator asks: is the service ready, does a deployment hold together, how much memory will it need."""
