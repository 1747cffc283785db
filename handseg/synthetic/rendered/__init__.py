"""People rendered with exact truth; `python -m handseg.synthetic.rendered --help`."""
