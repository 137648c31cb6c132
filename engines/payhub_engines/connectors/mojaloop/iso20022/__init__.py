"""ISO 20022 contents, at the edge alone: processes only know FSPIOP's own form.

What ISO 20022 requires and FSPIOP does not carry (the parties beside a quote's answer or a transfer) is taken
from the ILP packet, which holds the whole transaction.
"""
