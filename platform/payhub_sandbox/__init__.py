"""A Mojaloop switch and Fineract-shaped core banks to try payhub against."""
