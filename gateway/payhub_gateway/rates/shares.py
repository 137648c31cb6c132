"""How the copies of a gateway divide a client's rate, so that together they never admit more. Pure.

Each copy tells the others, once an interval, how much a client asks of it. Most of the rate follows that
demand, because a client with one connection meets one copy. The rest is divided evenly, so that a copy
that is asked for the first time need not refuse.

What a copy knows of the others is up to an interval old. So a copy takes more only after it has told so
an interval ago, gives up at once what it does not need, and believes of each other the greater of what it
told last and before. In every moment the shares come to the whole at most, where news takes no longer
than an interval.
"""

from typing import Final

from payhub_gateway.rates.gcra import WHOLE_PPM

EVEN_PPM: Final = 200_000


def share_ppm(copies: int, own: tuple[int, int], others: int) -> int:
    """Return one copy's share in millionths.

    Args:
        copies: how many there are, this one included.
        own: what the client asked of this copy, as it told last and before.
        others: what the client asked of all others together, counted high where it is not sure.
    """
    demand = min(own)
    if demand + others == 0:
        return WHOLE_PPM // copies
    return EVEN_PPM // copies + (WHOLE_PPM - EVEN_PPM) * demand // (demand + others)
