"""The Hugging Face hub: a localizer is fetched from there, or shared there with a card that says what it is.

Only JSON and safetensors are ever fetched, so that no file of a repository can run a program. What is sent is written
into a folder first: weights, settings, card, and the pictures that a person names for it.
"""
