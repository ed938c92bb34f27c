"""Private inference side by side: the shipped networks, Concrete ML's own flow, CKKS, and the clear; one run, one machine."""
