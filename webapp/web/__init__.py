"""What the rooms' pages and APIs share: the base classes of views and API resources, the actor of a request."""
