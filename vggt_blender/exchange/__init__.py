"""The wire between backend and Blender: jobs, messages and the reconstruction folder. Stdlib and numpy only."""
