"""Looking inside: is everything there, does the index agree, who ran what, how much is there."""
