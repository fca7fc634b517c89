"""Releases: their bytes, the commit that makes one live, the way from contour to contour."""
