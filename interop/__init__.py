"""Other people's tools against a running server: `make interop`."""
