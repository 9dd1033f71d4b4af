"""Pure rules about faces: boxes, quality, matching, appearances and error rates."""
