"""Networks under the encoders, with their parts made for CPUs: masked language models, transformers, dense embedders."""
