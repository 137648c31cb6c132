"""FSPIOP signing keys with overlapping rotation, and certificates for channels."""
