"""The sequence of event ids itself: the base that every other view is made from (DeepLog and its kin read nothing else)."""

from qlogad.features.features import Features, View

__all__ = ["Ids"]


class Ids(View):
    """The base, as it is; it adds no table."""

    def add(self, features: Features) -> Features:
        """The same features."""
        return features
