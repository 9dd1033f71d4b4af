"""Videos that show the same footage: finding them, and joining them so that they count once."""
