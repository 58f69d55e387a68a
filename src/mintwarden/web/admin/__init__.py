"""`/admin/v1/...`: administration over HTTP, governed by the product's own access tokens."""
