"""Reports for people in a terminal: status, inspect, check, export, plan."""
