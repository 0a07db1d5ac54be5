"""A Kubernetes on one Linux machine without Docker, the images for it, and the upstream suite run on it.

cli → clusters (local, kind, existing) → node (the local one) → daemons; build and image make what it runs.
"""
