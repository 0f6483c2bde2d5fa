"""The whole blueprint on one machine, with live traffic, and books that must balance at the end."""
