"""``payhub bench``: what payhub does on this machine, measured."""
