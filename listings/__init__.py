"""What a listing is, where it comes from, how it is synced and served; shared by both services."""
