"""The attributes that can change what is displayed, and what happens to each."""
