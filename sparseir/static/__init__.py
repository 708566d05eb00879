"""Search without a server: an index as a folder of small files that any web host serves, asked by the page itself."""
