"""Networks from token features to one weight per vocabulary term, one module a family."""
