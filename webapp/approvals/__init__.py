"""Four eyes: deeds that a second person has to approve before they are done, exactly as they were proposed."""
