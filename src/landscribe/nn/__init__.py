"""Networks: the only room that knows torch."""
