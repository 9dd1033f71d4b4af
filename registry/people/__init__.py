"""Who is who: what speaks for two identities being one person, and what people say of it."""
