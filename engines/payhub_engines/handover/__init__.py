"""Callbacks that reached the wrong engine travel to the owner, until its committed acknowledgement."""
