"""``payhub bench payments``: whole payments over HTTP, through every process but the real scheme and bank."""
