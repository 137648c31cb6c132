"""The same durable workflow of eight steps on payhub's engine and on its peers, measured alike."""
