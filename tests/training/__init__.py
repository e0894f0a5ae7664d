"""Tests of `raml.training`."""
