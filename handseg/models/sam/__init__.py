"""Models of the SAM family: promptable, behind one interface."""
