"""The registry itself: its objects, its index, and every change that can be made to them."""
