"""The resources of the administration API, one file each."""
