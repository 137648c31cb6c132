"""The engine's pure core: commands in, events out, appliers change state. No clock, disk or socket."""
