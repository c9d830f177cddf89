"""Reads a folder, draws pictures and pages. Nothing imports this room but `api` and the command line.

`page.write` makes the HTML report, `live.Live` is the progress panel, `card.card` the data set's card.
"""
