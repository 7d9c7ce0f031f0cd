"""The run: which reports there are, what each was made from, the processes that make them."""
