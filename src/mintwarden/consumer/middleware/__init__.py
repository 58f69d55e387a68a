"""The consumer's side in front of an application, one file per kind of server."""
