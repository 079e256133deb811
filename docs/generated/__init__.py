"""Parts of pages that are made from the package, and from its results, whenever the site is built."""
