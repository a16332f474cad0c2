"""Rules: drafts, published versions, schedules, and the pages on which people who do not program write them."""
