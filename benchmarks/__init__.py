"""Measurements run by hand: `make bench`; notebook 02 takes the speed ladder."""
