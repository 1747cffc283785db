"""The page of `handseg app`: a Streamlit script and its parts.

`page` is the script; `workspace` holds a visitor's photos and does not use Streamlit.
"""
