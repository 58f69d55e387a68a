"""Sign-in at OpenID providers: requests sent there, what comes back checked, all of it as data says."""
