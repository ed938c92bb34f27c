"""What evaluates: worker processes here or on a cluster, and the queue in front of them."""
