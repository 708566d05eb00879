"""Encoders: text in, one weight per vocabulary term out. torch is imported by the modules that make tensors."""
