"""The services' HTTP, one application for both."""

from listings.api.app import create_app

__all__ = ["create_app"]
