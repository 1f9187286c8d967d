"""Reviews: what people say of polygons and ground, as files and as history."""
