"""What a schedule that knows the future would cost: bounds, estimates, and schedules proven by replay."""
