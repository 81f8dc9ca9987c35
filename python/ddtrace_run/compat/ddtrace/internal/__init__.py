"""Nothing of this is for programs; what some of them import all the same is here."""
