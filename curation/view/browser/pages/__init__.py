"""The pages of the viewer: each turns a request into values for its template."""
