"""Synthetic worlds in the shape of the DSTL data: `make_scene` of a `WorldSpec`."""

from landscribe.worlds.world import SyntheticScene, WorldSpec, make_scene, scene_ids

__all__ = ["SyntheticScene", "WorldSpec", "make_scene", "scene_ids"]
