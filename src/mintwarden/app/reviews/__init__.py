"""Reviews of the policy: what commands and the administration API both give, and what does it for the API."""
