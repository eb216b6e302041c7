"""Small stand-ins for services of other makers, which refuse what the vendor would refuse."""
