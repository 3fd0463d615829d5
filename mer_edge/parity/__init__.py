"""How far what runs is from the network it was made of: measured alike at export and anywhere."""
