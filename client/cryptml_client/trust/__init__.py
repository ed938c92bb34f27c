"""What makes a client accept a bundle, and go on accepting its service."""
