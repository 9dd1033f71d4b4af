"""Pure rules about faces: boxes, quality, matching, appearances, error rates."""
