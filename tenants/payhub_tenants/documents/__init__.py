"""What is kept of a tenant as one document of each kind: limits, fees, endpoints, checks, reports."""
