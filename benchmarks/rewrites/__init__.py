"""What each rewrite of the graphs brings, measured; and what was tried and brings nothing."""
