"""What `explain` says, as tables: figures by what they are of, and the words of the paper."""
