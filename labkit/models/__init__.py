"""The models the course builds by hand."""
