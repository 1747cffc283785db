"""The page of `handseg app`: a Streamlit script and what it is made of.

`page` is the script; `workspace` holds what a visitor has brought, without Streamlit.
"""
