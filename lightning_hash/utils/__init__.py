"""Files written whole, process groups, memory and names."""
