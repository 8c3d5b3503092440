"""How the console writes moments; every one of them is UTC."""
