"""The data: one module a dataset, with its sources, its schema, its prompt and its metric."""
