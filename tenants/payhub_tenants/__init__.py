"""The control plane: onboarding, keys, channels, party identifiers, placement."""
