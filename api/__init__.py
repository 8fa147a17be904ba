"""The web: the intake API for platforms and the dashboard for people. It imports no torch and knows no worker."""
