"""Which language a text is in: `judge` is the way in; words and scripts are its evidence."""
