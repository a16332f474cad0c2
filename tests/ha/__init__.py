"""A cluster in network namespaces of this machine, with the configurations of deploy/; its machines die in turn."""
