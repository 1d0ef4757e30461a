"""What a run shows of itself: its folder, sheets, statistics, time-lapse, and what they mean."""
