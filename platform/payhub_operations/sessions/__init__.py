"""Operators: how people and programs show that they may look."""
