"""Measurements on a cluster: how soon a change is served, what it costs, and that none fails under load."""
