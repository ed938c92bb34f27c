"""Requests and answers: connections, authentication, routes, logs."""
