"""Files on servers: addresses, requests, the head of a TIFF, whole copies. Nothing here runs unless a recipe asks."""
