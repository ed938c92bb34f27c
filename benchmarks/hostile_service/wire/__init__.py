"""Attacks on HTTP itself: heads, bodies, when bytes come, and error answers."""
