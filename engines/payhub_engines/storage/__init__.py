"""The engine's state on disk: an ordered map of bytes that knows how far the log is applied to it."""
