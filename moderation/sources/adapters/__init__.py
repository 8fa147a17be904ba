"""One module a kind of sender. Each is found by being here (see `moderation.sources.registry`)."""
