"""The domain of Unmask: what happens to a submission, from its acceptance to a person's decision.

No web framework and no torch is imported here. Functions take an open SQLAlchemy session first and never commit.
"""
