"""From photos or footage to cameras, points and depth: the engines, the exchange format and the scene builder."""
