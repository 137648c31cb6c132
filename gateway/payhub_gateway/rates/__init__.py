"""How much a client may ask for: a rate with a burst, and a number of requests a day."""
