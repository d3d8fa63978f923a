"""Files written whole, process groups and memory."""
