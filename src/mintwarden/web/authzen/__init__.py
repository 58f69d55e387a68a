"""The AuthZEN Authorization API 1.0 over HTTP."""
