"""Bodies, their joints and hands, and poses fitted to goals."""
