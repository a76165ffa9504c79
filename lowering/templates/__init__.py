"""Jinja2 templates of kernels and programs, and the headers that they call."""
