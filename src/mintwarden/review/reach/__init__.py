"""Who can get what over the directory as it is: questions put to `decide`, subject by subject."""
