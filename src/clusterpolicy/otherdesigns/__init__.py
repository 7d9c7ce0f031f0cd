"""Other designs and checks of the estimate: what else was tried, whether the answer stands."""
