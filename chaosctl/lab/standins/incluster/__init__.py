"""What stand-ins that run as pods share: requests to the API server, caches of it, leadership, log lines."""
