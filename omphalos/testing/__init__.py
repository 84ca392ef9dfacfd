"""For tests of stores, this project's and other people's: a suite any store must pass, and damage done on purpose."""
