"""Who is who: evidence, consolidation, and the decisions of people."""
