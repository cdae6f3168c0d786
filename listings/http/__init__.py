"""The HTTP words both services and the gateway speak; knows nothing of listings themselves."""
