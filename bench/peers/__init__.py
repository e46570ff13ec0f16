"""Benchmarks of vectorstore beside its peers; docs/benchmarks/README.md tells what is measured and how."""
