"""What is measured of a service, and from where: conventions, plan words, sources' places, port."""
