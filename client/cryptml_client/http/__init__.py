"""Requests to a service that nothing is believed of: one deadline, bounded answers, proxies, TLS."""
