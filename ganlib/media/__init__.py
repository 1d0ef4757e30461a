"""Pictures, films and words as files and pixels."""
