"""What two rooms share: msgspec Structs for HTTP bodies and bus messages. Unknown fields are refused."""
