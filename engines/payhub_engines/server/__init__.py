"""The engine as a process: the stream processor, the workers beside it, and its HTTP interface."""
