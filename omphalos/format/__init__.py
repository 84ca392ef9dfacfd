"""The format floor: ids, encodings, trees, manifests, paths and findings; pure functions, no input or output."""
