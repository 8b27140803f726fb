"""Reports in the terminal: plan, pipelines, settings, status, inspect, check, export."""
