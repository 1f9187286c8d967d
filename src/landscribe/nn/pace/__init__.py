"""How fast this machine is with a network."""
