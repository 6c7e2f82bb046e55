"""What exact comparison leaves open, asked of Math-Verify in processes that can be killed."""
