"""From the request of an institution to its end: states, jobs with evidence, and what is missing."""
