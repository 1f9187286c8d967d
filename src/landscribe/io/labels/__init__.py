"""Labels: what is on the ground of a scene, from vectors, drawings on its picture, and label pictures."""
