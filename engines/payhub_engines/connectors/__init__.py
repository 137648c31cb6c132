"""Connectors do the jobs of a process: they speak to the switch and to core banking."""
